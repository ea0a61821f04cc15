/* powercut.c: a disk whose power fails, as an nbdkit plugin.
 *
 * What is written stays in the disk's volatile cache until a flush (or a write with FUA) and is
 * read back from there. When the power fails, each 512-byte sector of the cache has reached the
 * platter or not, by a draw of its own; from then on every request is answered with EIO. The
 * platter is the file that was given: mount it to see what survived. (The two sectors of an ext4
 * superblock share a draw: one that is torn is for e2fsck, the kernel does not mount it.)
 *
 *   file=IMAGE    the platter; its size is the disk's
 *   control=PATH  a file that appears here is read as one order and removed
 *   report=PATH   written when the power has failed: what the disk had done by then
 *   seed=N        of the draws
 *   keep=PERCENT  chance of a sector in the cache to survive, 50 when not given
 *
 * Orders, one line:
 *   now           the power fails with the next request
 *   write N       with the N-th write from now on, whose sectors are in the draw
 *   flush N       with the N-th flush from now on, which then has not happened
 *   lie N         the N-th flush from now on says that it was done, and what it should have brought
 * to the platter never gets there; the power fails with the flush after it
 *
 * nbdkit calls one function at a time (the thread model below), so there is no lock. */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS
#define SECTOR 512u /* what a disk writes whole or not at all */
#define SUPER 2     /* first of the two sectors of an ext4 superblock: byte 1024 */

enum order { ORDER_NONE, ORDER_NOW, ORDER_WRITE, ORDER_FLUSH, ORDER_LIE };

static char *file, *control, *report;
static uint64_t seed = 1;
static unsigned keep = 50;

static struct {
    uint64_t bytes;
    unsigned char *platter; /* shared mapping of the file */
    unsigned char *live;    /* private mapping of it: pages that were written are the cache */
    bool *cached;           /* a sector: in the cache, not on the platter */
    uint32_t *list;         /* the cached sectors, in the order they came */
    uint32_t n;
    bool dead;
    enum order order;
    uint64_t left; /* requests of the order's kind until it is carried out */
    uint64_t writes, flushes;
} disk;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 */
static uint64_t draw(void)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int config(const char *key, const char *value)
{
    if (strcmp(key, "file") == 0)
        return (file = nbdkit_realpath(value)) ? 0 : -1;
    if (strcmp(key, "control") == 0)
        return (control = nbdkit_absolute_path(value)) ? 0 : -1;
    if (strcmp(key, "report") == 0)
        return (report = nbdkit_absolute_path(value)) ? 0 : -1;
    if (strcmp(key, "seed") == 0)
        return nbdkit_parse_uint64_t("seed", value, &seed);
    if (strcmp(key, "keep") == 0)
        return nbdkit_parse_unsigned("keep", value, &keep);
    nbdkit_error("no parameter called %s", key);
    return -1;
}

static int config_complete(void)
{
    if (file && control && report && keep <= 100)
        return 0;
    nbdkit_error("needs file=, control= and report=; keep is at most 100");
    return -1;
}

static int get_ready(void)
{
    struct stat st;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < SECTOR || st.st_size % SECTOR ||
        st.st_size / SECTOR > UINT32_MAX) {
        nbdkit_error("%s: not an image: %m", file);
        return -1;
    }
    disk.bytes = (uint64_t)st.st_size;
    disk.platter = mmap(NULL, disk.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    disk.live = mmap(NULL, disk.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    disk.cached = calloc(disk.bytes / SECTOR, sizeof *disk.cached);
    disk.list = calloc(disk.bytes / SECTOR, sizeof *disk.list);
    if (disk.platter == MAP_FAILED || disk.live == MAP_FAILED || !disk.cached || !disk.list) {
        nbdkit_error("no memory for %s", file);
        return -1;
    }
    return 0;
}

/* ---- the cache ---- */

static void sector_reaches_platter(uint32_t i)
{
    memcpy(disk.platter + (size_t)i * SECTOR, disk.live + (size_t)i * SECTOR, SECTOR);
}

static void cache_write(const void *p, uint32_t n, uint64_t off)
{
    memcpy(disk.live + off, p, n);
    for (uint64_t i = off / SECTOR; i < (off + n + SECTOR - 1) / SECTOR; i++) {
        if (disk.cached[i])
            continue;
        disk.cached[i] = true;
        disk.list[disk.n++] = (uint32_t)i;
    }
}

/* Empties the cache; each sector reaches the platter with a chance of `percent`. Returns how many
 * did. */
static uint32_t cache_drain(unsigned percent)
{
    uint32_t kept = 0;
    bool survives = true;
    for (uint32_t k = 0; k < disk.n; k++) {
        uint32_t i = disk.list[k];
        if (!(i == SUPER + 1 && k && disk.list[k - 1] == SUPER))
            survives = percent == 100 || draw() % 100 < percent;
        disk.cached[i] = false;
        if (!survives)
            continue;
        sector_reaches_platter(i);
        kept++;
    }
    disk.n = 0;
    return kept;
}

/* ---- the power ---- */

static void power_fails(const char *during)
{
    uint32_t cached = disk.n, kept = cache_drain(keep);
    char tmp[4096];
    disk.dead = true;
    snprintf(tmp, sizeof tmp, "%s.tmp", report);
    FILE *f = fopen(tmp, "we");
    if (!f)
        return;
    fprintf(f,
            "{\"during\": \"%s\", \"writes\": %" PRIu64 ", \"flushes\": %" PRIu64
            ", \"unflushed\": %" PRIu32 ", \"survived\": %" PRIu32 "}\n",
            during, disk.writes, disk.flushes, cached, kept);
    if (fclose(f) == 0)
        rename(tmp, report);
}

static void take_order(void)
{
    char word[16] = "";
    uint64_t n = 1;
    FILE *f = fopen(control, "re");
    if (!f)
        return;
    int got = fscanf(f, "%15s %" SCNu64, word, &n);
    fclose(f);
    unlink(control);
    disk.order = got < 1 || n < 1             ? ORDER_NONE
                 : strcmp(word, "now") == 0   ? ORDER_NOW
                 : strcmp(word, "write") == 0 ? ORDER_WRITE
                 : strcmp(word, "flush") == 0 ? ORDER_FLUSH
                 : strcmp(word, "lie") == 0   ? ORDER_LIE
                                              : ORDER_NONE;
    disk.left = n;
    if (disk.order == ORDER_NONE)
        nbdkit_error("order not understood: %s", word);
}

/* Before a request: false with EIO when there is no power any more. */
static bool powered(void)
{
    if (!disk.dead)
        take_order();
    if (!disk.dead && disk.order == ORDER_NOW)
        power_fails("now");
    if (disk.dead)
        nbdkit_set_error(EIO);
    return !disk.dead;
}

/* Whether the order of this kind falls due with this request. */
static bool due(enum order order)
{
    return disk.order == order && --disk.left == 0;
}

/* ---- requests ---- */

static void *open_disk(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t get_size(void *handle)
{
    (void)handle;
    return (int64_t)disk.bytes;
}

static int can_flush(void *handle)
{
    (void)handle;
    return 1;
}

static int can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

static int pread_disk(void *handle, void *buf, uint32_t n, uint64_t off, uint32_t flags)
{
    (void)handle;
    (void)flags;
    if (!powered())
        return -1;
    memcpy(buf, disk.live + off, n);
    return 0;
}

static int flush_disk(void *handle, uint32_t flags)
{
    (void)handle;
    (void)flags;
    if (!powered())
        return -1;
    disk.flushes++;
    if (due(ORDER_FLUSH)) {
        power_fails("flush");
        nbdkit_set_error(EIO);
        return -1;
    }
    bool lie = due(ORDER_LIE);
    cache_drain(lie ? 0 : 100);
    if (lie) {
        disk.order = ORDER_FLUSH;
        disk.left = 1;
    }
    return 0;
}

static int pwrite_disk(void *handle, const void *buf, uint32_t n, uint64_t off, uint32_t flags)
{
    if (!powered())
        return -1;
    disk.writes++;
    cache_write(buf, n, off);
    if (due(ORDER_WRITE)) {
        power_fails("write");
        nbdkit_set_error(EIO);
        return -1;
    }
    /* more becomes durable than was asked for: loop devices send flushes, never FUA */
    return flags & NBDKIT_FLAG_FUA ? flush_disk(handle, 0) : 0;
}

static struct nbdkit_plugin plugin = {
    .name = "powercut",
    .description = "a disk with a volatile cache whose power fails",
    .config = config,
    .config_complete = config_complete,
    .get_ready = get_ready,
    .open = open_disk,
    .get_size = get_size,
    .can_flush = can_flush,
    .can_fua = can_fua,
    .pread = pread_disk,
    .pwrite = pwrite_disk,
    .flush = flush_disk,
};

NBDKIT_REGISTER_PLUGIN(plugin)
