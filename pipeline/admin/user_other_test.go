//go:build !linux

package admin

func userOfSockets() string { return "unix" }
