// Loaded before eslint, which takes what is outside the folder it works in for ignored.
process.chdir("/");
