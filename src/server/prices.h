/* prices.h: the price table of a data directory, as the file stands now.
 *
 * Read when it is opened; asked for later, it is read again when the file has changed, at most once
 * a second. A file that cannot be read or has a mistake then leaves the table in use as it is. */
#ifndef FL_SERVER_PRICES_H
#define FL_SERVER_PRICES_H

#include "base/err.h"
#include "model/price.h"

#define PRICE_FILE_NAME "prices.conf" /* in the data directory, when no other is named */

struct price_file;
/* path: NULL = PRICE_FILE_NAME in dir, which need not exist; a file that is named must. A missing
 * or empty file is a table without prices. ERR_INVALID names file and line; ERR_IO, ERR_NOTFOUND.
 */
int price_file_open(struct price_file **ret, const char *path, const char *dir, struct err *err);
void price_file_close(struct price_file *f); /* NULL is fine */
/* The table of this moment, to be given back by prices_unref; any thread. */
struct prices *price_file_get(struct price_file *f);

#endif
