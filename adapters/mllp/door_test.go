package mllp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestAReceiptIsAnswered(t *testing.T) {
	for _, row := range []struct {
		name    string
		stream  string
		respond func(int, contracts.Arrival) (contracts.Receipt, error)
		want    []string
		kept    int
	}{
		{"accepted", framed(message("A1")), nil, []string{"AA A1"}, 1},
		{"several in order", framed(message("A1"), message("A2"), message("A3")), nil, []string{"AA A1", "AA A2", "AA A3"}, 3},
		{"enhanced, accept asked", framed(message("A1", "P|2.5.1|||AL|NE")), nil, []string{"CA A1"}, 1},
		{"enhanced, application asked only", framed(message("A1", "P|2.5.1|||NE|AL")), nil, []string{"AA A1"}, 1},
		{"none asked", framed(message("A1", "P|2.5.1|||NE|NE")), nil, nil, 1},
		{"only errors asked, none there", framed(message("A1", "P|2.5.1|||ER|NE")), nil, nil, 1},
		{"undecodable bytes", framed(message("A1")), refusal(contracts.Malformed, hl7v2.CodeBadByte, "byte 99", "102"), []string{"AE A1 102"}, 1},
		{"undecodable bytes, enhanced", framed(message("A1", "P|2.5.1|||AL|NE")), refusal(contracts.Malformed, hl7v2.CodeBadByte, "byte 99", "102"), []string{"CE A1 102"}, 1},
		{"undecodable bytes in fact", framed(strings.Replace(message("A1"), "Ä", "\xc4", 1)), refusal(contracts.Malformed, hl7v2.CodeBadByte, "byte 99", "102"), []string{"AE A1 102"}, 1},
		{"no control id", framed(message("")), refusal(contracts.Malformed, hl7v2.CodeNoControlID, "MSH-10", "101"), []string{"AR  101"}, 1},
		{"type outside the contract", framed(message("A1")), refusal(contracts.Refused, "HUB-013", "MSH-9.1", "200"), []string{"AR A1 200"}, 1},
		{"event outside the contract", framed(message("A1")), refusal(contracts.Refused, "HUB-014", "MSH-9.2", "201"), []string{"AR A1 201"}, 1},
		{"processing id outside the contract", framed(message("A1")), refusal(contracts.Refused, "HUB-015", "MSH-11.1", "202"), []string{"AR A1 202"}, 1},
		{"version outside the contract", framed(message("A1")), refusal(contracts.Refused, "HUB-016", "MSH-12.1", "203"), []string{"AR A1 203"}, 1},
		{"other bytes under a known id", framed(message("A1")), refusal(contracts.Conflict, "HUB-012", "MSH-10", "205"), []string{"AR A1 205"}, 1},
		{"other bytes under a known id, enhanced", framed(message("A1", "P|2.5.1|||AL|NE")), refusal(contracts.Conflict, "HUB-012", "MSH-10", "205"), []string{"CR A1 205"}, 1},
		{"sender without a contract", framed(message("A1")), refusal(contracts.Unroutable, "HUB-010", "", ""), []string{"AR A1 207"}, 1},
		{"no MSH, and the connection stays", framed("this is no message", message("A2")), nil, []string{"AA A2"}, 2},
		{"an empty frame, and the connection stays", framed("", message("A2")), nil, []string{"AA A2"}, 2},
		{"an acknowledgement", framed("MSH|^~\\&|A|B|C|D|20260304||ACK^I12^ACK|K1|P|2.5.1\rMSA|AA|X\r", message("A2")), nil, []string{"AA A2"}, 2},
		{"a message with an MSA is a message", framed("MSH|^~\\&|A|B|C|D|20260304||RRI^I12^RRI_I12|K1|P|2.5.1\rMSA|AA|X\r"), nil, []string{"AA K1"}, 1},
		{"junk around frames", "GET / HTTP/1.1\r\n\r\n" + framed(message("A1")) + "junk" + framed(message("A2")), nil, []string{"AA A1", "AA A2"}, 2},
		{"a missing carriage return", "\x0b" + message("A1") + "\x1c" + framed(message("A2")), nil, []string{"AA A1", "AA A2"}, 2},
		{"a frame begun anew", "\x0bMSH|half" + framed(message("A1")), nil, []string{"AA A1"}, 1},
		{"a frame that was cut off", framed(message("A1")) + "\x0bMSH|half", nil, []string{"AA A1"}, 1},
		{"trouble of our own", framed(message("A1"), message("A2")), func(int, contracts.Arrival) (contracts.Receipt, error) {
			return contracts.Receipt{}, errors.New("disk full")
		}, nil, 1},
		{"trouble of our own as a fault", framed(message("A1"), message("A2")), refusal(contracts.Internal, "", "", ""), nil, 1},
		{"trouble with the second", framed(message("A1"), message("A2"), message("A3")), func(n int, a contracts.Arrival) (contracts.Receipt, error) {
			if n == 2 {
				panic("a bug")
			}
			return accepted(a), nil
		}, []string{"AA A1"}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &desk{respond: row.respond}
			got := exchange(t, open(t, r, contracts.MLLPDoor{}), row.stream)
			if diff := cmp.Diff(row.want, answers(t, got)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			kept := r.arrivals()
			if len(kept) != row.kept {
				t.Fatalf("%d frames were kept, want %d", len(kept), row.kept)
			}
			for _, a := range kept {
				if a.Partner != "lab" || a.Format != contracts.FormatV2 || a.Fault != nil || strings.ContainsAny(string(a.Body.Bytes()), "\x0b\x1c") {
					t.Errorf("arrived from %q as %q with fault %v", a.Partner, a.Format, a.Fault)
				}
			}
		})
	}
}

// exchange is talk for streams after which the door may close with bytes unread: the reset that follows is no fault.
func exchange(t *testing.T, d *Door, stream string) string {
	t.Helper()
	conn := call(t, d)
	if _, err := io.WriteString(conn, stream); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWrite()
	back, _ := io.ReadAll(conn)
	return string(back)
}

// The frame's bytes are the message's, whichever pieces they come in.
func TestAFrameMayComeByteByByte(t *testing.T) {
	r := &desk{}
	conn := call(t, open(t, r, contracts.MLLPDoor{}))
	_ = conn.SetNoDelay(true)
	for _, b := range []byte(framed(message("A1"))) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := NewReader(conn, Limits{}).Next()
	if err != nil || said(f.Body) != "AA A1" {
		t.Fatalf("got %s, %v", said(f.Body), err)
	}
	if got := string(r.arrivals()[0].Body.Bytes()); got != message("A1") {
		t.Error("the bytes that arrived aren't the ones that were sent")
	}
}

// A repeat, whose receipt is the first one's, gets the very same bytes; another message doesn't.
func TestARepeatGetsTheSameAcknowledgement(t *testing.T) {
	d := open(t, &desk{}, contracts.MLLPDoor{})
	first, second := talk(t, d, framed(message("A1"))), talk(t, d, framed(message("A1")))
	if first == "" || first != second {
		t.Error("a repeat got other bytes")
	}
	if other := talk(t, d, framed(message("A2"))); strings.ReplaceAll(other, "A2", "A1") == first {
		t.Error("another message's acknowledgement has the same control id of its own")
	}
	if !strings.Contains(first, "MSH|^~\\&|SILTA|HUB|LAB^X|SENDER|20260304050607+0000||ACK^I12^ACK|") {
		t.Errorf("the acknowledgement's header is %q", first)
	}
}

func TestATooLargeFrameIsKeptInPartAndRefused(t *testing.T) {
	const limit = 200 << 10
	for _, row := range []struct {
		name, head string
		want       []string
	}{
		{"with MSH", message("A1"), []string{"AR A1 207"}},
		{"with MSH behind an envelope", batchHead + message("A1"), []string{"AR A1 207"}},
		{"without MSH", "no message at all", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &desk{}
			d := open(t, r, contracts.MLLPDoor{MaxBytes: limit})
			content := row.head + strings.Repeat("ZZ2|abcdef\r", limit/8)
			back := talk(t, d, framed(content, message("A2"))) // what follows is not read
			if diff := cmp.Diff(row.want, answers(t, back)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			kept := r.arrivals()
			if len(kept) != 1 || kept[0].Fault == nil || kept[0].Fault.Code != CodeTooLarge || !strings.Contains(kept[0].Fault.Public, "204800") {
				t.Fatalf("kept %d, want the beginning of one with the limit in its fault", len(kept))
			}
			if got := kept[0].Body.Bytes(); len(got) != 64<<10 || !strings.HasPrefix(content, string(got)) {
				t.Errorf("%d bytes were kept, want the frame's first 64 KB", len(got))
			}
		})
	}
}

func TestReleaseTwoCommitsFirst(t *testing.T) {
	r := &desk{respond: func(n int, a contracts.Arrival) (contracts.Receipt, error) {
		if n == 2 {
			return contracts.Receipt{}, errors.New("disk full")
		}
		return accepted(a), nil
	}}
	d := open(t, r, contracts.MLLPDoor{Release: 2})
	back := exchange(t, d, framed(message("A1"), "\x06", message("A2")))
	rest, ok := strings.CutPrefix(back, framed("\x06"))
	if diff := cmp.Diff([]string{"AA A1"}, answers(t, rest)); diff != "" || !ok {
		t.Errorf("committed first: %t; then (-want +got):\n%s", ok, diff)
	}
	if n := len(r.arrivals()); n != 2 {
		t.Errorf("%d frames were kept, want 2: a commit acknowledgement is no message", n)
	}
}

// In release 2 a positive commit acknowledgement says that all of the frame is kept.
func TestReleaseTwoCommitsNoBeginnings(t *testing.T) {
	r := &desk{}
	d := open(t, r, contracts.MLLPDoor{Release: 2, MaxBytes: 1000})
	back := talk(t, d, framed(message("A1")+strings.Repeat("ZZ2|abcdef\r", 200)))
	rest, ok := strings.CutPrefix(back, framed("\x15"))
	if diff := cmp.Diff([]string{"AR A1 207"}, answers(t, rest)); diff != "" || !ok {
		t.Errorf("refused to commit first: %t; then (-want +got):\n%s", ok, diff)
	}
}

// A line break of a word processor is a start block; the text that holds it comes whole.
func TestAStartBlockInATextLosesNothing(t *testing.T) {
	r := &desk{}
	d := open(t, r, contracts.MLLPDoor{})
	text := message("A1") + "NTE|1||one\x0btwo\r"
	if diff := cmp.Diff([]string{"AA A1"}, answers(t, exchange(t, d, framed(text)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if kept := r.arrivals(); len(kept) != 1 || string(kept[0].Body.Bytes()) != text {
		t.Errorf("%d frames were kept, and not as they came", len(kept))
	}
}

// A sender that stops reading or writing, or comes too often, takes nothing from the others.
func TestConnectionsAreLimited(t *testing.T) {
	d := open(t, &desk{}, contracts.MLLPDoor{Connections: 1})
	first := call(t, d)
	if _, err := io.WriteString(first, framed(message("A1"))); err != nil {
		t.Fatal(err)
	}
	r := NewReader(first, Limits{})
	if f, err := r.Next(); err != nil || said(f.Body) != "AA A1" {
		t.Fatalf("the first connection got %s, %v", said(f.Body), err)
	}
	second := call(t, d)
	if n, err := second.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a second connection wasn't closed")
	}
	if _, err := io.WriteString(first, framed(message("A2"))); err != nil {
		t.Fatal(err)
	}
	if f, err := r.Next(); err != nil || said(f.Body) != "AA A2" {
		t.Fatalf("the first connection got %s, %v", said(f.Body), err)
	}
}

// A door that stops doesn't wait for senders who keep their side open.
func TestASenderThatStaysDoesNotHoldAStoppingDoorUp(t *testing.T) {
	came, release := make(chan struct{}), make(chan struct{})
	r := &desk{respond: func(_ int, a contracts.Arrival) (contracts.Receipt, error) {
		close(came)
		<-release
		return accepted(a), nil
	}}
	d, err := Listen("127.0.0.1:0", "lab", contracts.MLLPDoor{}, r, time.Now, quiet(), WithDrain(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, d)
	conn := call(t, d)
	if _, err := io.WriteString(conn, framed(message("A1"), message("A2"))); err != nil {
		t.Fatal(err)
	}
	<-came
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for hurried := false; !hurried; { // until the door drains
		d.mu.Lock()
		hurried = d.draining
		d.mu.Unlock()
	}
	close(release)
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the door still waits")
	}
	if got, err := io.ReadAll(conn); err != nil || len(answers(t, string(got))) != 1 {
		t.Errorf("got %d bytes, %v; want one acknowledgement and the end", len(got), err)
	}
}

func TestAListenerThatCantBeOpenedIsAnError(t *testing.T) {
	d := open(t, &desk{}, contracts.MLLPDoor{})
	if _, err := Listen(d.Addr().String(), "lab", contracts.MLLPDoor{}, &desk{}, time.Now, quiet()); err == nil {
		t.Error("a taken port was opened again")
	}
}

// What is logged about hostile bytes says how much came, never what.
func TestContentIsNotLogged(t *testing.T) {
	var out bytes.Buffer
	l := logrus.New()
	l.Out, l.Level = &out, logrus.DebugLevel
	r := &desk{respond: func(n int, a contracts.Arrival) (contracts.Receipt, error) {
		if n == 3 {
			return contracts.Receipt{}, errors.New("disk full")
		}
		return accepted(a), nil
	}}
	d, err := Listen("127.0.0.1:0", "lab", contracts.MLLPDoor{MaxBytes: 500}, r, time.Now, l)
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, d)
	secret := "canary"
	for _, stream := range []string{
		secret + framed(message(secret)), framed(secret), "\x0b" + secret, framed(message(secret)), framed(message(secret) + strings.Repeat(secret, 100)),
	} {
		exchange(t, d, stream)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 || strings.Contains(out.String(), secret) {
		t.Errorf("the log has %d bytes; the content is in it: %t", out.Len(), strings.Contains(out.String(), secret))
	}
}
