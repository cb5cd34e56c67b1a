/* Has a function that Node has, too. */
const char *OpenSSL_version(int what) { return "that of the VDDK"; }
