//go:build !real

package kafkatest

import "testing"

// RunMain runs m. Built with the tag real, it does so against a real broker.
func RunMain(m *testing.M) int { return m.Run() }
