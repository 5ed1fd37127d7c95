/* library_version.c — of which version a library of the Python package is: the modules ask it before they call any
 * other. */
const char *library_version(void);

const char *library_version(void) {
    return F5_VERSION;
}
