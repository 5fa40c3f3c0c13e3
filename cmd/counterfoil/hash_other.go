//go:build !linux

package main

// beIdle gives the process the lowest priority: other systems have no idle policy for threads.
func beIdle(id int) error { return beNice(id) }
