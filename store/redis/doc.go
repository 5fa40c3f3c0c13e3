// Package redis.
package redis
