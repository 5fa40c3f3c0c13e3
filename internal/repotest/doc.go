// Package repotest holds the tests of the repository as a whole: which package imports
// which, that documents name and link what is there, that requirements are tested, and how
// much the root package shows. It has no code of its own. Its tests run in the root folder.
package repotest
