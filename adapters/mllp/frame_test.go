package mllp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/hoitosilta/silta/contracts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is what a Reader made of a stream: the frames' content with what was odd, and the error at the end.
func seen(src io.Reader, limits Limits) (list []string, err error) {
	r := NewReader(src, limits)
	for {
		f, err := r.Next()
		if err != nil {
			if f.Body != nil {
				list = append(list, fmt.Sprintf("kept %d", len(f.Body)))
			}
			return list, err
		}
		odd := ""
		if f.Junk+f.Dropped+f.Strays > 0 || f.NoCR {
			odd = fmt.Sprintf(" junk=%d dropped=%d strays=%d noCR=%t", f.Junk, f.Dropped, f.Strays, f.NoCR)
		}
		list = append(list, fmt.Sprintf("%q", f.Body)+odd)
	}
}

func TestFramesAreRead(t *testing.T) {
	limits := Limits{Bytes: 20, Junk: 30}
	for _, row := range []struct {
		name, stream string
		want         []string
		end          error
	}{
		{"nothing", "", nil, io.EOF},
		{"one frame", "\x0bMSH|a\x1c\r", []string{`"MSH|a"`}, io.EOF},
		{"two frames in one write", "\x0bone\x1c\r\x0btwo\x1c\r", []string{`"one"`, `"two"`}, io.EOF},
		{"an empty frame", "\x0b\x1c\r", []string{`""`}, io.EOF},
		{"carriage returns are content", "\x0ba\rb\r\x1c\r", []string{`"a\rb\r"`}, io.EOF},
		{"line ends between frames are junk", "\x0ba\x1c\r\r\n\x0bb\x1c\r", []string{`"a"`, `"b" junk=2 dropped=0 strays=0 noCR=false`}, io.EOF},
		{"junk before a frame", "hello\x0ba\x1c\r", []string{`"a" junk=5 dropped=0 strays=0 noCR=false`}, io.EOF},
		{"an end block before a frame is junk", "\x1c\r\x0ba\x1c\r", []string{`"a" junk=2 dropped=0 strays=0 noCR=false`}, io.EOF},
		{"junk that doesn't end", strings.Repeat("x", 40), nil, ErrJunk},
		{"a start block in a frame begins anew", "\x0babc\x0bde\x1c\r", []string{`"de" junk=0 dropped=4 strays=0 noCR=false`}, io.EOF},
		{"a start block in a message is content", "\x0bMSH|a\x0bb\x1c\r\x0bc\x1c\r", []string{`"MSH|a\vb" junk=0 dropped=0 strays=1 noCR=false`, `"c"`}, io.EOF},
		{"several, and at the end", "\x0bMSH|\x0b\x0bMS\x0b\x1c\r", []string{`"MSH|\v\vMS\v" junk=0 dropped=0 strays=3 noCR=false`}, io.EOF},
		{"a message in a message begins anew", "\x0bMSH|a\x0bMSH|b\x1c\r", []string{`"MSH|b" junk=0 dropped=6 strays=0 noCR=false`}, io.EOF},
		{"a batch behind a stray start block", "\x0bMSH|a\x0b\x0bFHS|b\x1c\r", []string{`"FHS|b" junk=0 dropped=7 strays=1 noCR=false`}, io.EOF},
		{"a start block that reaches the limit", "\x0bMSH|" + strings.Repeat("x", 16) + "\x0b\x1c\r", []string{"kept 20"}, ErrTooLarge},
		{"the last of several start blocks", "\x0b\x0b\x0ba\x1c\r", []string{`"a" junk=0 dropped=2 strays=0 noCR=false`}, io.EOF},
		{"no carriage return before the next frame", "\x0ba\x1c\x0bb\x1c\r", []string{`"a" junk=0 dropped=0 strays=0 noCR=true`, `"b"`}, io.EOF},
		{"no carriage return at the end", "\x0ba\x1c", []string{`"a" junk=0 dropped=0 strays=0 noCR=true`}, io.EOF},
		{"a line feed for the carriage return", "\x0ba\x1c\n\x0bb\x1c\r", []string{`"a" junk=0 dropped=0 strays=0 noCR=true`, `"b"`}, io.EOF},
		{"a line feed for the carriage return, at the end", "\x0ba\x1c\n", []string{`"a" junk=0 dropped=0 strays=0 noCR=true`}, io.EOF},
		{"an end block and a line feed in the content don't cut it short", "\x0ba\x1c\nb\x1c\r\x0bc\x1c\r", []string{`"a\x1c\nb" junk=0 dropped=0 strays=1 noCR=false`, `"c"`}, io.EOF},
		{"two of them", "\x0ba\x1c\n\x1c\nb\x1c\n", []string{`"a\x1c\n\x1c\nb" junk=0 dropped=0 strays=2 noCR=true`}, io.EOF},
		{"a line feed in the content that reaches the limit", "\x0b" + strings.Repeat("x", 19) + "\x1c\ny\x1c\r", []string{"kept 20"}, ErrTooLarge},
		{"an end block in the content doesn't cut it short", "\x0ba\x1cb\x1c\r", []string{`"a\x1cb" junk=0 dropped=0 strays=1 noCR=false`}, io.EOF},
		{"the stream ends in a frame", "\x0babc", nil, io.ErrUnexpectedEOF},
		{"the stream ends in the second frame", "\x0ba\x1c\r\x0bb", []string{`"a"`}, io.ErrUnexpectedEOF},
		{"as large as the limit", "\x0b" + strings.Repeat("x", 20) + "\x1c\r", []string{`"` + strings.Repeat("x", 20) + `"`}, io.EOF},
		{"larger than the limit", "\x0b" + strings.Repeat("x", 21) + "\x1c\r", []string{"kept 20"}, ErrTooLarge},
		{"a frame that begins anew has its own size", "\x0b" + strings.Repeat("x", 15) + "\x0b" + strings.Repeat("y", 15) + "\x1c\r",
			[]string{`"yyyyyyyyyyyyyyy" junk=0 dropped=16 strays=0 noCR=false`}, io.EOF},
	} {
		t.Run(row.name, func(t *testing.T) {
			for how, src := range map[string]io.Reader{
				"at once":      strings.NewReader(row.stream),
				"byte by byte": iotest.OneByteReader(strings.NewReader(row.stream)),
				"with its end": iotest.DataErrReader(strings.NewReader(row.stream)),
			} {
				got, err := seen(src, limits)
				if diff := cmp.Diff(row.want, got); diff != "" || err != row.end {
					t.Errorf("%s: ended with %v, want %v; frames (-want +got):\n%s", how, err, row.end, diff)
				}
			}
		})
	}
}

// Of a frame that is too large 64 KB are kept, whichever way its bytes come.
func TestATooLargeFrameKeepsItsBeginning(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 2*kept/16)
	for _, limit := range []int{1000, kept, kept + 1000} {
		f, err := NewReader(io.MultiReader(strings.NewReader("\x0b"), iotest.HalfReader(bytes.NewReader(content))), Limits{Bytes: limit}).Next()
		if err != ErrTooLarge || len(f.Body) != min(kept, limit) || !bytes.HasPrefix(content, f.Body) {
			t.Errorf("limit %d: got %v and %d bytes, want ErrTooLarge and the frame's beginning", limit, err, len(f.Body))
		}
	}
}

// A frame without its carriage return is given after a short silence, and a carriage return that comes later is no junk.
func TestAMissingCarriageReturnDelaysNoFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		r := NewReader(near, Limits{Read: time.Minute})
		go func() { _, _ = far.Write([]byte("\x0ba\x1c")) }()
		begun := time.Now()
		if f, err := r.Next(); err != nil || string(f.Body) != "a" || !f.NoCR || time.Since(begun) > time.Second {
			t.Fatalf("got %q, %v after %v; want the frame soon", f.Body, err, time.Since(begun))
		}
		go func() {
			_, _ = far.Write([]byte("\r\x0bb\x1c\r"))
			far.Close()
		}()
		if f, err := r.Next(); err != nil || string(f.Body) != "b" || f.Junk != 0 {
			t.Fatalf("got %q, %d bytes of junk, %v; want the next frame without junk", f.Body, f.Junk, err)
		}
	})
}

// A line feed in place of the carriage return delays no frame either; if the frame goes on behind it, it was content.
func TestALineFeedEndsAFrameWhenNothingFollowsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		r := NewReader(near, Limits{Read: time.Minute})
		go func() { _, _ = far.Write([]byte("\x0ba\x1c\n")) }()
		if f, err := r.Next(); err != nil || string(f.Body) != "a" || !f.NoCR {
			t.Fatalf("got %q, %v; want the frame", f.Body, err)
		}
		go func() {
			for _, piece := range []string{"\x0ba\x1c", "\n", "b\x1c\r"} {
				_, _ = far.Write([]byte(piece))
			}
			far.Close()
		}()
		if f, err := r.Next(); err != nil || string(f.Body) != "a\x1c\nb" || f.Junk != 0 {
			t.Fatalf("got %q, %d bytes of junk, %v; want the frame whole", f.Body, f.Junk, err)
		}
	})
}

// writes counts calls of Write.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(p []byte) (int, error) {
	w.n++
	return w.Buffer.Write(p)
}

func TestAFrameIsOneWrite(t *testing.T) {
	var w writes
	if n, err := WriteFrame(&w, []byte("MSH|a\r")); err != nil || n != 9 || w.n != 1 || w.String() != "\x0bMSH|a\r\x1c\r" {
		t.Errorf("got %q in %d writes, %d bytes, %v", w.String(), w.n, n, err)
	}
}

func TestContentThatWouldBreakFramingIsNotWritten(t *testing.T) {
	for _, content := range []string{"MSH|\x0b", "MSH|\x1c", "MSH|\x1c\r"} {
		var w writes
		n, err := WriteFrame(&w, []byte(content))
		if contracts.KindOf(err) != contracts.Invalid || n != 0 || w.n != 0 {
			t.Errorf("%q: wrote %d bytes, %v; want nothing and kind invalid", content, n, err)
		}
		var fault *contracts.Fault
		if !errors.As(err, &fault) || fault.Code != CodeFraming || !strings.Contains(fault.Public, "Byte 4") {
			t.Errorf("%q: %v doesn't name the place", content, err)
		}
	}
}
