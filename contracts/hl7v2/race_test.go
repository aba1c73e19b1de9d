//go:build race

package hl7v2_test

// Under the race detector the heap holds what else lives on the stack, and all is ten times slower: there the test of
// memory only shows that nothing explodes.
const (
	memoryFactor    = 64
	adversarialSize = 16 << 10
)
