package apotti_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/testfixtures/apotti"
)

func start(t *testing.T) *apotti.System {
	t.Helper()
	s, err := apotti.Start("127.0.0.1:0", time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// answer is an RRI as the hub would send it; modes are MSH-15 and MSH-16.
func answer(control, modes, note string) []byte {
	return []byte(strings.Join([]string{
		`MSH|^~\&|SILTA|HUS|APOTTI|HELSINKI|20260302091500+0200||RRI^I12^RRI_I12|` + control + `|P|2.5.1|||` + modes + `||UNICODE UTF-8`,
		`MSA|AA|REQ1`,
		`RF1|A|||||LAH-1^^1.2.246.10.99999991.17^ISO`,
		`NTE|1||` + note,
	}, "\r") + "\r")
}

func send(t *testing.T, s *apotti.System, message []byte) (apotti.Answer, error) {
	t.Helper()
	line, err := apotti.Dial(t.Context(), s.Addr())
	if err != nil {
		return apotti.Answer{}, err
	}
	defer line.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return line.Send(ctx, message)
}

func TestApottiAcknowledgesAndRemembersInOrder(t *testing.T) {
	s := start(t)
	for _, control := range []string{"A", "B", "A"} {
		a, err := send(t, s, answer(control, "|", "ä"))
		if err != nil || a.Code != "AA" || a.Control != control {
			t.Fatalf("message %s got %q for %q (%v), want AA", control, a.Code, a.Control, err)
		}
	}
	got := s.Received()
	if len(got) != 2 || got[0].Control != "A" || got[0].Times != 2 || got[1].Control != "B" || got[1].Times != 1 {
		t.Fatalf("Apotti remembers %d messages, want A twice, then B once", len(got))
	}
	if r := got[0]; r.Type != "RRI^I12" || r.Answers != "REQ1" || r.Referral != "LAH-1" || r.Changed {
		t.Errorf("Apotti read type %s, answer to %s, referral %s, changed %v", r.Type, r.Answers, r.Referral, r.Changed)
	}
}

func TestApottiSeesOtherBytesUnderAKnownID(t *testing.T) {
	s := start(t)
	for _, note := range []string{"one", "two"} {
		if _, err := send(t, s, answer("A", "|", note)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Received(); len(got) != 1 || !got[0].Changed {
		t.Error("the change went unseen")
	}
}

func TestApottiAcknowledgesAsTheHeaderAsks(t *testing.T) {
	s := start(t)
	for modes, want := range map[string]string{"|": "AA", "AL|NE": "CA", "AL|AL": "CA", "SU|NE": "CA", "NE|AL": "AA"} {
		a, err := send(t, s, answer("M"+strings.ReplaceAll(modes, "|", "-"), modes, ""))
		if err != nil || a.Code != want {
			t.Errorf("MSH-15|MSH-16 = %s got %q (%v), want %s", modes, a.Code, err, want)
		}
	}
	if err := s.Behave(apotti.Behaviour{Code: "AE"}); err != nil {
		t.Fatal(err)
	}
	for modes, want := range map[string]string{"|": "AE", "ER|NE": "CE"} {
		a, err := send(t, s, answer("R"+strings.ReplaceAll(modes, "|", "-"), modes, ""))
		if err != nil || a.Code != want || a.Error != "207" {
			t.Errorf("told to refuse, MSH-15|MSH-16 = %s got %q with error %q (%v), want %s with 207", modes, a.Code, a.Error, err, want)
		}
	}
	if got := len(s.Received()); got != 5 {
		t.Errorf("%d messages are kept, want the 5 that weren't refused", got)
	}
}

func TestApottiLosesAnAcknowledgementAndKeepsTheMessage(t *testing.T) {
	s := start(t)
	if err := s.Behave(apotti.Behaviour{Drop: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t, s, answer("A", "|", "")); err == nil {
		t.Fatal("an acknowledgement came, want none")
	}
	if a, err := apotti.Deliver(t.Context(), s.Addr(), answer("A", "|", "")); err != nil || a.Code != "AA" {
		t.Fatalf("the repeat got %q (%v), want AA", a.Code, err)
	}
	if got := s.Received(); len(got) != 1 || got[0].Times != 2 {
		t.Error("want one message that came twice")
	}
}

func TestApottiGoesDownAndComesBackAtTheSameAddress(t *testing.T) {
	s := start(t)
	if err := s.Behave(apotti.Behaviour{Down: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t, s, answer("A", "|", "")); err == nil {
		t.Fatal("somebody answered while Apotti is down")
	}
	if err := s.Behave(apotti.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	if a, err := send(t, s, answer("A", "|", "")); err != nil || a.Code != "AA" {
		t.Fatalf("after coming back: %q (%v), want AA", a.Code, err)
	}
	err := s.Wait(t.Context(), func(got []apotti.Received) bool { return len(got) == 1 })
	if err != nil {
		t.Fatal(err)
	}
}
