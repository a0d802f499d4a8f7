/* openssl.h: OpenSSL, loaded when TLS or tokens are first configured (lazy.h). The one face of it: its own
 * headers would declare the functions again. Any thread. */
#ifndef BASE_OPENSSL_H
#define BASE_OPENSSL_H
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define F(function) __typeof__(function) *function##_;
struct openssl_functions {
#include "lazy/openssl_table.h"
};
#undef F
extern struct openssl_functions openssl_functions;

/* Before anything else of it. false: it is not installed, or too old; *ret_why, when not NULL, says so. */
bool openssl_load(const char **ret_why);

#include "lazy/openssl_names.h"
#endif
