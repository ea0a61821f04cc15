/* tls.c: OpenSSL over the connection's own non-blocking socket.
 *
 * TLS 1.2 and 1.3, no renegotiation, no compression, ALPN "http/1.1". Read-ahead saves a system
 * call a record; what it holds back is seen by tls_pending, since the socket will not tell.
 * Buffers are released while a connection idles. Every call is preceded by ERR_clear_error, for
 * the error queue belongs to the thread, not the connection. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "net/internal.h"

static const unsigned char alpn_http11[] = "\x08http/1.1";

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_n, alpn_http11, sizeof alpn_http11 - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The first error of OpenSSL's queue is the cause; for a file that cannot be read or holds no PEM
 * it is about OpenSSL, so those are said in words of our own. */
static int tls_err(struct err *err, const char *what, const char *path)
{
    unsigned long e = ERR_peek_error();
    const char *reason = ERR_reason_error_string(e);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err_set(err, ERR_INVALID, "%s %s: %s", what, path, strerror(errno));
    else if (ERR_GET_LIB(e) == ERR_LIB_PEM)
        err_set(err, ERR_INVALID, "%s %s: that is not in the file, or not as PEM", what, path);
    else
        err_set(err, ERR_INVALID, "%s %s: %s", what, path, reason ? reason : "unknown error");
    if (fd >= 0)
        close(fd);
    ERR_clear_error();
    return ERR_INVALID;
}

static int load_pair(SSL_CTX *ctx, const char *cert, const char *key, struct err *err)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return tls_err(err, "cannot load the TLS certificate", cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return tls_err(err, "cannot load the TLS key", key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return tls_err(err, "the TLS key does not belong to the certificate", cert);
    return 0;
}

int tls_ctx_new(SSL_CTX **ret, const char *cert, const char *key, struct err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return err_nomem(err);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"fleetlog", 8);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    int r = load_pair(ctx, cert, key, err);
    if (r) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

void tls_ctx_free(SSL_CTX *ctx)
{
    SSL_CTX_free(ctx);
}

SSL *tls_new(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    if (ssl && SSL_set_fd(ssl, fd) == 1) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_free(ssl);
    ERR_clear_error();
    return NULL;
}

void tls_free(SSL *ssl)
{
    SSL_free(ssl);
}

int tls_handshake(struct conn *c)
{
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl);
    c->want_write = false;
    if (r == 1)
        return 1;
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_WRITE: c->want_write = true; return 0;
    case SSL_ERROR_WANT_READ: return 0;
    default: ERR_clear_error(); return -1;
    }
}

/* what an SSL_read or SSL_write that returned r <= 0 means */
static ssize_t outcome(struct conn *c, int r)
{
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_WANT_WRITE: c->want_write = true; return 0;
    case SSL_ERROR_ZERO_RETURN: return -1;
    default:
        ERR_clear_error();
        SSL_set_quiet_shutdown(c->ssl, 1);
        return -2;
    }
}

ssize_t tls_read(struct conn *c, char *p, size_t n)
{
    ERR_clear_error();
    c->want_write = false;
    int r = SSL_read(c->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
    return r > 0 ? r : outcome(c, r);
}

ssize_t tls_write(struct conn *c, const char *p, size_t n)
{
    ERR_clear_error();
    int r = SSL_write(c->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
    if (r > 0)
        return r;
    ssize_t o = outcome(c, r);
    return o == -1 ? -2 : o;
}

bool tls_pending(struct conn *c)
{
    return SSL_has_pending(c->ssl);
}

void tls_shutdown(struct conn *c)
{
    ERR_clear_error();
    SSL_shutdown(c->ssl);
    ERR_clear_error();
}
