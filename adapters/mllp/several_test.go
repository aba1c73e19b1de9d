package mllp

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

const (
	fileHead  = "FHS|^~\\&|LAB^X|SENDER|SILTA|HUB|2026||||F1\r"
	batchHead = "BHS|^~\\&|LAB^X|SENDER|SILTA|HUB|2026||||B1\r"
)

func TestSeveralMessagesInOneFrame(t *testing.T) {
	third := func(n int, a contracts.Arrival) (contracts.Receipt, error) {
		if n == 3 {
			return contracts.Receipt{}, errors.New("disk full")
		}
		return accepted(a), nil
	}
	scanned := func(_ int, a contracts.Arrival) (contracts.Receipt, error) {
		r := accepted(a)
		if _, err := hl7v2.Scan(a.Body.Bytes()); err != nil {
			r.Fault = contracts.FaultsOf(err)[0]
		}
		return r, nil
	}
	two, three := message("A1")+message("A2"), message("A1")+message("A2")+message("A3")
	for _, row := range []struct {
		name     string
		settings contracts.MLLPDoor
		body     string
		respond  func(int, contracts.Arrival) (contracts.Receipt, error)
		want     []string // acknowledgements, frame by frame
		kept     int      // arrivals
		code     string   // of their fault
	}{
		{"each, in a row", contracts.MLLPDoor{}, two, nil, []string{"AA A1", "AA A2"}, 2, ""},
		{"each, in a batch", contracts.MLLPDoor{}, fileHead + batchHead + two + "BTS|2\rFTS|1\r", nil, []string{"AA A1", "AA A2"}, 2, ""},
		{"each, one in a batch", contracts.MLLPDoor{}, batchHead + message("A1") + "BTS|1\r", nil, []string{"AA A1"}, 1, ""},
		{"each, a wrong count", contracts.MLLPDoor{}, batchHead + two + "BTS|7\r", nil, []string{"AA A1", "AA A2"}, 2, ""},
		{"each, one that asks for nothing", contracts.MLLPDoor{}, message("A1", "P|2.5.1|||NE|NE") + message("A2"), nil, []string{"AA A2"}, 2, ""},
		{"each, trouble with the third", contracts.MLLPDoor{}, three + message("A4"), third, []string{"AA A1", "AA A2"}, 3, ""},
		{"each, a broken one between", contracts.MLLPDoor{}, message("A1") + strings.Replace(message("A2"), "Ä", "\xc4", 1) + message("A3"), scanned, []string{"AA A1", "AE A2 102", "AA A3"}, 3, ""},
		{"each, something before", contracts.MLLPDoor{}, "hello\r" + message("A1"), scanned, []string{"AA A1"}, 2, ""},
		{"each, envelopes without a message", contracts.MLLPDoor{}, fileHead + batchHead + "BTS|0\rFTS|1\r", nil, nil, 1, ""},
		{"batch, envelopes without a message", contracts.MLLPDoor{Several: contracts.SeveralBatch}, fileHead + batchHead + "BTS|0\rFTS|1\r", nil, nil, 1, ""},
		{"refuse, envelopes without a message", contracts.MLLPDoor{Several: contracts.SeveralRefuse}, batchHead + "BTS|0\r", nil, nil, 1, CodeSeveral},
		{"each, as many as there may be", contracts.MLLPDoor{MaxMessages: 3}, three, nil, []string{"AA A1", "AA A2", "AA A3"}, 3, ""},
		{"each, one too many", contracts.MLLPDoor{MaxMessages: 2}, three, nil, []string{"AR A1 207"}, 1, CodeTooMany},
		{"batch, one too many", contracts.MLLPDoor{MaxMessages: 2, Several: contracts.SeveralBatch}, batchHead + three, nil, []string{"AR A1 207"}, 1, CodeTooMany},
		{"batch, trouble with the third", contracts.MLLPDoor{Several: contracts.SeveralBatch}, three, third, nil, 3, ""},
		{"batch, a message alone", contracts.MLLPDoor{Several: contracts.SeveralBatch}, message("A1"), nil, []string{"AA A1"}, 1, ""},
		{"refuse, in a row", contracts.MLLPDoor{Several: contracts.SeveralRefuse}, two, nil, []string{"AR A1 100"}, 1, CodeSeveral},
		{"refuse, a batch", contracts.MLLPDoor{Several: contracts.SeveralRefuse}, batchHead + two + "BTS|2\r", nil, []string{"AR A1 100"}, 1, CodeSeveral},
		{"refuse, a message alone", contracts.MLLPDoor{Several: contracts.SeveralRefuse}, message("A1"), nil, []string{"AA A1"}, 1, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &desk{respond: row.respond}
			back := exchange(t, open(t, r, row.settings), framed(row.body))
			if diff := cmp.Diff(row.want, answers(t, back)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			kept := r.arrivals()
			if len(kept) != row.kept {
				t.Fatalf("%d arrivals, want %d", len(kept), row.kept)
			}
			for _, a := range kept {
				if row.code == "" && a.Fault != nil || row.code != "" && (a.Fault == nil || a.Fault.Code != row.code || string(a.Body.Bytes()) != row.body) {
					t.Errorf("an arrival has the fault %v and %d bytes", a.Fault, a.Body.Len())
				}
			}
		})
	}
}

// A frame of envelopes alone is stored before release 2's commit acknowledgement says so.
func TestEnvelopesWithoutAMessageAreKept(t *testing.T) {
	body := fileHead + batchHead + "BTS|0\rFTS|1\r"
	for _, several := range []string{contracts.SeveralEach, contracts.SeveralBatch} {
		r := &desk{}
		back := talk(t, open(t, r, contracts.MLLPDoor{Release: 2, Several: several}), framed(body))
		if kept := r.arrivals(); back != framed("\x06") || len(kept) != 1 || string(kept[0].Body.Bytes()) != body {
			t.Errorf("%s: %d arrivals, %d bytes back; want the frame kept, and then committed", several, len(kept), len(back))
		}
		full := &desk{respond: func(int, contracts.Arrival) (contracts.Receipt, error) {
			return contracts.Receipt{}, errors.New("disk full")
		}}
		if back := exchange(t, open(t, full, contracts.MLLPDoor{Release: 2, Several: several}), framed(body)); back != "" {
			t.Errorf("%s: answered though it isn't kept", several)
		}
	}
}

// A byte of the framing in what an acknowledgement repeats costs its message alone. Its field stays empty, since what is
// left of an id could be another's.
func TestAFramingByteCostsItsMessageAlone(t *testing.T) {
	spoil := func(from, to string) string { return strings.Replace(message("A2"), from, to, 1) }
	for name, row := range map[string]struct{ bad, at, answer string }{
		"in MSH-10":         {message("A\x1c1"), "MSH-10", "AE  102"},
		"in MSH-3":          {spoil("LAB^X", "L\x1cB"), "MSH-3", "AE A2 102"},
		"in MSH-9":          {spoil("REF^I12", "REF^I\x1c2"), "MSH-9", "AE A2 102"},
		"in MSH-18":         {spoil("UNICODE UTF-8", "UNICODE\x1cUTF-8"), "MSH-18", "AE A2 102"},
		"in MSH-21, CE":     {message("A2", "P|2.5.1|||AL|NE|||||a\x1cb"), "MSH-21", "CE A2 102"},
		"where nobody asks": {message("A\x1c1", "P|2.5.1|||NE|NE"), "MSH-10", ""},
	} {
		for _, several := range []string{contracts.SeveralEach, contracts.SeveralBatch} {
			t.Run(several+", "+name, func(t *testing.T) {
				r := &desk{}
				head := ""
				if several == contracts.SeveralBatch {
					head = strings.Replace(batchHead, "SENDER", "SEND\x1cR", 1)
				}
				back := talk(t, open(t, r, contracts.MLLPDoor{Several: several}), framed(head+message("A1")+row.bad+message("A3")))
				var got []string
				for _, part := range strings.SplitAfter(strings.NewReplacer("\x0b", "", "\x1c\r", "").Replace(back), "MSH|")[1:] {
					got = append(got, said([]byte("MSH|"+strings.TrimSuffix(part, "MSH|"))))
				}
				want := []string{"AA A1", row.answer, "AA A3"}
				if row.answer == "" {
					want = []string{"AA A1", "AA A3"}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				kept := r.arrivals()
				if len(kept) != 3 || kept[1].Fault == nil || kept[1].Fault.Code != CodeFraming || kept[1].Fault.At != row.at || kept[0].Fault != nil || kept[2].Fault != nil {
					t.Errorf("%d arrived; want the one in the middle with its fault", len(kept))
				}
			})
		}
	}
}

// Each message is the one that was sent, without the envelope.
func TestTheMessagesOfABatchArriveAsTheyWere(t *testing.T) {
	r := &desk{}
	talk(t, open(t, r, contracts.MLLPDoor{}), framed(fileHead+batchHead+message("A1")+message("A2")+"BTS|2\rFTS|1\r"))
	for i, want := range []string{message("A1"), message("A2")} {
		if got := string(r.arrivals()[i].Body.Bytes()); got != want {
			t.Errorf("message %d came as %d bytes, want its own %d", i+1, len(got), len(want))
		}
	}
}

// A message's acknowledgement has left before the next one is received: a sender may wait for it.
func TestEachIsAnsweredBeforeTheNextIsReceived(t *testing.T) {
	answered := make(chan struct{})
	r := &desk{respond: func(n int, a contracts.Arrival) (contracts.Receipt, error) {
		if n == 2 {
			<-answered
		}
		return accepted(a), nil
	}}
	conn := call(t, open(t, r, contracts.MLLPDoor{}))
	if _, err := conn.Write([]byte(framed(message("A1") + message("A2")))); err != nil {
		t.Fatal(err)
	}
	frames := NewReader(conn, Limits{})
	for _, want := range []string{"AA A1", "AA A2"} {
		f, err := frames.Next()
		if err != nil || said(f.Body) != want {
			t.Fatalf("got %s, %v; want %s", said(f.Body), err, want)
		}
		if want == "AA A1" {
			close(answered)
		}
	}
}

func TestABatchIsAnsweredByABatch(t *testing.T) {
	settings := contracts.MLLPDoor{Several: contracts.SeveralBatch}
	d := open(t, &desk{}, settings)
	stream := framed(fileHead + batchHead + message("A1") + message("A2") + "BTS|3\rFTS|1\r")
	back := talk(t, d, stream)
	f, err := NewReader(strings.NewReader(back), Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	segments := strings.Split(strings.TrimSuffix(string(f.Body), "\r"), "\r")
	var shape []string
	for _, s := range segments {
		switch s[:3] {
		case "FHS", "BHS":
			parts := strings.Split(s, "|")
			if len(parts[10]) != 20 {
				t.Errorf("%s-11 has %d characters, want 20", s[:3], len(parts[10]))
			}
			parts[10] = "OWN"
			s = strings.Join(parts, "|")
		case "MSH":
			s = "MSH"
		}
		shape = append(shape, s)
	}
	want := []string{
		"FHS|^~\\&|SILTA|HUB|LAB^X|SENDER|20260304050607+0000||||OWN|F1",
		"BHS|^~\\&|SILTA|HUB|LAB^X|SENDER|20260304050607+0000||||OWN|B1",
		"MSH", "MSA|AA|A1", "MSH", "MSA|AA|A2",
		"BTS|2|The count differs from the 2 messages that came",
		"FTS|1",
	}
	if diff := cmp.Diff(want, shape); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
	if again := talk(t, d, stream); again != back {
		t.Error("a repeat gets other bytes")
	}
}

// In release 2 one commit acknowledgement stands for the frame, when all of it is stored; without it none of the
// acknowledgements may leave.
func TestReleaseTwoCommitsAFrameWhenAllOfItIsStored(t *testing.T) {
	for _, several := range []string{contracts.SeveralEach, contracts.SeveralBatch} {
		for name, row := range map[string]struct {
			fails int
			want  int // frames
		}{"all stored": {0, 3}, "the second fails": {2, 0}} {
			t.Run(several+", "+name, func(t *testing.T) {
				r := &desk{respond: func(n int, a contracts.Arrival) (contracts.Receipt, error) {
					if n == row.fails {
						return contracts.Receipt{}, errors.New("disk full")
					}
					return accepted(a), nil
				}}
				back := exchange(t, open(t, r, contracts.MLLPDoor{Release: 2, Several: several}), framed(message("A1")+message("A2")))
				want := row.want
				if want > 0 && several == contracts.SeveralBatch {
					want--
				}
				if got := strings.Count(back, "\x1c\r"); got != want || want > 0 && !strings.HasPrefix(back, framed("\x06")) || strings.Count(back, "\x06") > 1 {
					t.Errorf("%d frames came back, the commit first: %t; want %d", got, strings.HasPrefix(back, framed("\x06")), want)
				}
			})
		}
	}
}
