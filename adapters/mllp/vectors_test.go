package mllp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
)

// What other engines got wrong in framing and acknowledging, each by its name. Issues are cited as repository#number.
func TestWhatOtherEnginesGotWrong(t *testing.T) {
	aged := strings.Replace(message("A1", "P|2.5.1"), "REF^I12^REF_I12", "REF^I12", 1)
	for _, row := range []struct {
		name   string
		stream string
		back   func(string) bool
	}{
		{"GoogleCloudPlatform/mllp fails without the last carriage return", "\x0b" + message("A1") + "\x1c",
			func(b string) bool { return strings.Contains(b, "MSA|AA|A1\r") }},
		{"nextgenhealthcare/connect#262 and #241: sender and receiver are swapped as raw fields", framed(message("A1")),
			func(b string) bool { return strings.HasPrefix(b, "\x0bMSH|^~\\&|SILTA|HUB|LAB^X|SENDER|") }},
		{"simple-hl7#47: MSH-9 is ACK with the event", framed(message("A1")),
			func(b string) bool { return strings.Contains(b, "|ACK^I12^ACK|") }},
		{"MSH-9 without a structure", framed(aged),
			func(b string) bool { return strings.Contains(b, "|ACK^I12^ACK|") }},
		{"MSA-2 is MSH-10 byte for byte", framed(message(`A\T\1 `)),
			func(b string) bool { return strings.Contains(b, `MSA|AA|A\T\1 `+"\r") }},
		{"MSH-11, 12 and 18 are echoed", framed(message("A1", "T|2.4||||||8859/1")),
			func(b string) bool { return strings.Contains(b, "|T|2.4||||||8859/1\r") }},
		{"NHapiTools#28: frame bytes aren't text of the character set", framed(strings.Replace(message("A1", "P|2.5.1||||||8859/1"), "LAB^X", "L\xc4B", 1)),
			func(b string) bool { return strings.Contains(b, "|L\xc4B|") }},
		{"HAPI stays silent for a truncation character", framed(strings.Replace(message("A1"), "^~\\&|", "^~\\&#|", 1)),
			func(b string) bool { return strings.HasPrefix(b, "\x0bMSH|^~\\&|") && strings.Contains(b, "MSA|AA|A1") }},
		{"HAPI drops a message with an MSA", framed(strings.Replace(message("A1"), "REF^I12^REF_I12", "RRI^I12^RRI_I12", 1) + "MSA|AA|X\r"),
			func(b string) bool { return strings.Contains(b, "MSA|AA|A1") }},
		{"an acknowledgement isn't acknowledged", framed(ack("AA", "X")),
			func(b string) bool { return b == "" }},
		{"a health check that connects and leaves", "", func(b string) bool { return b == "" }},
		{"zato: two messages in one frame", framed(message("A1") + message("A2")),
			func(b string) bool { return strings.Count(b, "\x1c\r") == 2 }},
		{"MLLP-1: a carriage return before the end block is content", framed(message("A1") + "\r"),
			func(b string) bool { return strings.Contains(b, "MSA|AA|A1") }},
		{"MLLP-1: line ends between frames", framed(message("A1")) + "\r\n\n" + framed(message("A2")),
			func(b string) bool { return strings.Count(b, "MSA|AA|") == 2 }},
		{"panates/hl7v2#27, connect#650: a line feed inside is data", framed(message("A1") + "NTE|1||one\nMSH|^~\\&|two\r"),
			func(b string) bool { return strings.Count(b, "MSA|") == 1 }},
		{"enhanced mode is answered with CA, not AA", framed(message("A1", "P|2.5.1|||AL|AL")),
			func(b string) bool { return strings.Contains(b, "MSA|CA|A1") && strings.Count(b, "\x0b") == 1 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			if back := talk(t, open(t, &desk{}, contracts.MLLPDoor{}), row.stream); !row.back(back) {
				t.Errorf("the door answers %q", back)
			}
		})
	}
}

// apache/camel and GoogleCloudPlatform/mllp write a frame in three pieces, which some receivers take for three. A frame
// of ours is one write, at the door as at the courier.
func TestEveryFrameIsOneWrite(t *testing.T) {
	var atDoor, atCourier [][]byte
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		serve(t, newDoor(t, p, &desk{}, contracts.MLLPDoor{Several: contracts.SeveralBatch}))
		c, err := NewCourier(pipelined(1), time.Now, quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		near, far := net.Pipe()
		c.dial = func(context.Context, string) (net.Conn, error) { return recorder{near, &atCourier}, nil }
		door := recorder{p.call(), &atDoor}
		go func() { _, _ = io.Copy(far, door.Conn) }()
		go func() { _, _ = io.Copy(door, far) }()
		if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "AA delivered" {
			t.Errorf("got %s", got)
		}
		far.Close()
		door.Close()
	})
	for _, frames := range [][][]byte{atCourier, atDoor} {
		if len(frames) != 1 || !bytes.HasPrefix(frames[0], []byte{startBlock}) || !bytes.HasSuffix(frames[0], []byte{endBlock, carriageReturn}) {
			t.Errorf("%d writes, want one with the whole frame", len(frames))
		}
	}
}

// recorder keeps what is written to a connection, write by write.
type recorder struct {
	net.Conn
	writes *[][]byte
}

func (r recorder) Write(b []byte) (int, error) {
	*r.writes = append(*r.writes, bytes.Clone(b))
	return r.Conn.Write(b)
}

// medplum#7115: whoever takes the next frame for the answer takes CA for AA, and the application's AE for the next
// message's. connect#1441, #2070 and #1314: a late acknowledgement makes the sender believe that the message after it
// was processed. Here each is its own.
func TestAnAcknowledgementIsItsOwnMessages(t *testing.T) {
	for name, script := range map[string][]string{
		"the answer to the message before comes with the next":  {"", "AA P1;AA P2"},
		"the answer to the message before comes instead":        {"", "AA P1"},
		"the application refuses the first behind its CA":       {"CA P1", "AE P1;CA P2"},
		"the second message's answer comes before it was asked": {"CA P1;CA P2", "AE P2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				heard := map[string]bool{} // what was said of a message on any connection
				c, done := byPipeWith(pipelined(1), func(n int, conn net.Conn) {
					r := NewReader(conn, Limits{})
					for {
						if _, err := r.Next(); err != nil {
							return
						}
						mu.Lock()
						if len(script) == 0 {
							mu.Unlock()
							return
						}
						line := script[0]
						script = script[1:]
						mu.Unlock()
						for _, word := range strings.Split(line, ";") {
							if code, id, ok := strings.Cut(word, " "); ok {
								mu.Lock()
								heard[word] = true
								mu.Unlock()
								if _, err := io.WriteString(conn, framed(ack(code, id))); err != nil {
									return
								}
							}
						}
					}
				})
				defer done()
				for _, id := range []string{"P1", "P2"} {
					answer, err := c.Deliver(t.Context(), enhanced(id, "P|2.5.1|||AL|AL"))
					mu.Lock()
					said := heard[answer.Code+" "+id]
					mu.Unlock()
					if err == nil && !said {
						t.Errorf("%s is delivered with %s, which nobody said of it", id, answer.Code)
					}
					synctest.Wait()
				}
			})
		})
	}
}

// Release 1 and 2 as the transport specification has them, from the sender's side of the wire.
func TestTheReleasesOnTheWire(t *testing.T) {
	for _, row := range []struct {
		name    string
		release int
		stream  string
		want    []string
	}{
		{"release 1 has no commit acknowledgement", 1, framed(message("A1")), []string{"AA A1"}},
		{"release 2 commits, then acknowledges", 2, framed(message("A1")), []string{`"\x06"`, "AA A1"}},
		{"release 2 commits what gets no acknowledgement", 2, framed(message("A1", "P|2.5.1|||NE|NE")), []string{`"\x06"`}},
		{"release 2 commits what is no message", 2, framed("rubbish"), []string{`"\x06"`}},
		{"release 2 commits an acknowledgement", 2, framed(ack("AA", "X")), []string{`"\x06"`}},
		{"release 2 doesn't commit a commit acknowledgement", 2, framed("\x06", "\x15"), nil},
		{"release 1 takes that byte for content", 1, framed("\x06", message("A1")), []string{"AA A1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			back := talk(t, open(t, &desk{}, contracts.MLLPDoor{Release: row.release}), row.stream)
			if diff := cmp.Diff(row.want, answers(t, back)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
