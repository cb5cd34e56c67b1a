/* What VixDiskLib loads by itself, and what that calls: the OpenSSL that comes with it. */
extern const char *OpenSSL_version(int what);

const char *plugin_ssl_version(void) { return OpenSSL_version(0); }
