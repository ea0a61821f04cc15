/* replay.c: runs a fuzz target over files instead of invented inputs.
 *
 * Linked in place of libFuzzer in ordinary builds, so that every input that ever mattered is run
 * with every test run. Arguments are files or directories (walked one level deep). The empty
 * input is always tried first. Fails when no file was found: a corpus that vanished is a fault. */
#include <dirent.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    size_t n = 0, cap = 1 << 16;
    /* exactly as large as the input, so that a read past its end is seen by the sanitizer */
    uint8_t *p = malloc(cap);
    while (p) {
        n += fread(p + n, 1, cap - n, f);
        if (n < cap)
            break;
        cap *= 2;
        uint8_t *q = realloc(p, cap);
        if (!q)
            free(p);
        p = q;
    }
    fclose(f);
    uint8_t *exact = p ? malloc(n ? n : 1) : NULL;
    if (!exact) {
        free(p);
        fprintf(stderr, "%s: out of memory\n", path);
        return -1;
    }
    memcpy(exact, p, n);
    free(p);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return 0;
}

/* the number of files run, or -1 */
static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path) == 0 ? 1 : -1;
    DIR *d = opendir(path);
    if (!d) {
        perror(path);
        return -1;
    }
    int n = 0;
    for (struct dirent *e; n >= 0 && (e = readdir(d));) {
        char name[PATH_MAX];
        if (e->d_name[0] == '.')
            continue;
        int w = snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (w < 0 || (size_t)w >= sizeof name || run_file(name) != 0)
            n = -1;
        else
            n++;
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    uint8_t *nothing = calloc(1, 1);
    if (!nothing)
        return 1;
    LLVMFuzzerTestOneInput(nothing, 0);
    free(nothing);
    for (int i = 1; i < argc; i++) {
        int n = run_path(argv[i]);
        if (n < 0)
            return 1;
        total += n;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
