//go:build !race

package hl7v2_test

// What a sender writes decides neither how much memory is taken nor how many faults are listed: all that is allocated
// along the way, garbage too, stays below eight times the input, beside memoryConstant. The inputs are large enough
// that it doesn't hide a factor.
const (
	memoryFactor    = 8
	adversarialSize = 128 << 10
)
