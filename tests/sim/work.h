/* work.h: what clients of the simulated store do. Each returns when it is answered. */
#ifndef TESTS_SIM_WORK_H
#define TESTS_SIM_WORK_H

#include "model.h"

/* one operation, drawn by the seed */
void work_one(struct model *m);
/* nothing else runs: everything is compared, through several plans. company: ALONE or AFRESH */
void work_look_all(struct model *m, enum company company);

#endif
