// Package chaos breaks the program from outside and proves what is promised of
// it all the same.
package chaos
