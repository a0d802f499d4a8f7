/* findings.h: findings for a person at a terminal, one line each. */
#ifndef MAIN_FINDINGS_H
#define MAIN_FINDINGS_H
#include "base/diag.h"

#include <stdio.h>

void findings_print(const struct diag *d, FILE *to);
#endif
