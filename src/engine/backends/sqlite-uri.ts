/**
 * Our connections name their VFS by a URI (sqlite.ts), and URIs are known only with this in the environment
 * when the library's addon is loaded (its src/addon.cpp): at the first `new Database` of the process. So
 * whoever makes one imports this.
 */
process.env['SQLITE_USE_URI'] = '1';
