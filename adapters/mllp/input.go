package mllp

import (
	"io"
	"sync"
)

// input buffers what a connection gives. A door holds many connections that are silent most of the time, so the buffer
// is small; while a frame comes that fills it, a large one is borrowed.
type input struct {
	src   io.Reader
	await func() // called before a read that may block
	small []byte
	large *[]byte
	ready []byte // what was read and isn't taken yet
	err   error  // what the last read ended with, to be told once ready is taken
}

const (
	smallInput = 4 << 10
	largeInput = 64 << 10
)

var largeInputs = sync.Pool{New: func() any { b := make([]byte, largeInput); return &b }}

// fill waits for at least one byte and gives all that is there, without taking it.
func (in *input) fill() ([]byte, error) {
	for tries := 0; len(in.ready) == 0; tries++ {
		if err := in.err; err != nil {
			in.err = nil
			return nil, err
		}
		if tries == 100 {
			return nil, io.ErrNoProgress
		}
		in.await()
		buffer := in.buffer()
		n, err := in.src.Read(buffer)
		in.ready, in.err = buffer[:n], err
		if n == len(in.small) && in.large == nil {
			in.large = largeInputs.Get().(*[]byte) // for the next read
		}
	}
	return in.ready, nil
}

func (in *input) buffer() []byte {
	if in.large != nil {
		return *in.large
	}
	if in.small == nil {
		in.small = make([]byte, smallInput)
	}
	return in.small
}

// take takes n bytes that fill showed.
func (in *input) take(n int) { in.ready = in.ready[n:] }

// rest gives a large buffer back, if nothing lies in it.
func (in *input) rest() {
	if in.large != nil && len(in.ready) == 0 {
		largeInputs.Put(in.large)
		in.large, in.ready = nil, nil
	}
}
