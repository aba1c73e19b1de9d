package hl7v2_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func TestParseDateTimeKeepsPrecisionAndZone(t *testing.T) {
	for text, precision := range map[string]hl7v2.Precision{
		"1976": hl7v2.ToYear, "197612": hl7v2.ToMonth, "19761213": hl7v2.ToDay, "1976121308": hl7v2.ToHour,
		"197612130815": hl7v2.ToMinute, "19761213081530": hl7v2.ToSecond, "19761213081530.1": hl7v2.ToFraction,
		"19761213081530.0001": hl7v2.ToFraction, "19761213081530.0001+0200": hl7v2.ToFraction, "197612130815-0330": hl7v2.ToMinute,
		"19761213-0000": hl7v2.ToDay, "20240229": hl7v2.ToDay, "20261123235959+1400": hl7v2.ToSecond, "2026+0000": hl7v2.ToYear,
	} {
		d, err := hl7v2.ParseDateTime(text)
		if err != nil || d.Precision != precision || d.String() != text {
			t.Errorf("%s: got %s, precision %d, %v", text, d, d.Precision, err)
		}
	}
}

func TestParseDateTimeRefuses(t *testing.T) {
	for _, text := range []string{
		"", "76", "19761325", "19760230", "20230229", "19760001", "19760100", "0000", "1976121324", "197612130860", "19761213081560",
		"197", "19761", "1976121", "1976-12-13", "19761213081530.", "19761213081530.00001", "197612130815.1", "1976.1",
		"19761213+02", "19761213+0260", "19761213+1500", "19761213+02000", "19761213Z", "19761213 0815", "x9761213", "1976121308153", "+0200",
	} {
		_, err := hl7v2.ParseDateTime(text)
		if f := contracts.FaultsOf(err); len(f) != 1 || f[0].Code != hl7v2.CodeDateTime || f[0].Kind != contracts.Invalid {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestParseDateAndTime(t *testing.T) {
	if _, err := hl7v2.ParseDate("19761213"); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"1976121308", "19761213+0200", "19761313"} {
		if _, err := hl7v2.ParseDate(text); err == nil {
			t.Errorf("%s is no date", text)
		}
	}
	if d, err := hl7v2.ParseTime("0815+0200"); err != nil || d.Hour != 8 || d.Minute != 15 || d.Precision != hl7v2.ToMinute {
		t.Errorf("got %+v, %v", d, err)
	}
	for _, text := range []string{"", "8", "2515", "08:15", "+0200"} {
		if _, err := hl7v2.ParseTime(text); err == nil {
			t.Errorf("%q is no time", text)
		}
	}
}

// Without a zone a time is local; in Finland the clocks go forward at 3 and back at 4.
func TestLocalTimes(t *testing.T) {
	helsinki, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		text, want string
		clock      hl7v2.Clock
	}{
		{"20260115120000", "2026-01-15T12:00:00+02:00", hl7v2.Clear},
		{"20260715120000", "2026-07-15T12:00:00+03:00", hl7v2.Clear},
		{"20260329033000", "", hl7v2.Gap},
		{"20260329040000", "2026-03-29T04:00:00+03:00", hl7v2.Clear},
		{"20261025033000", "2026-10-25T03:30:00+03:00", hl7v2.Overlap},
		{"20261025030000", "2026-10-25T03:00:00+03:00", hl7v2.Overlap},
		{"20261025040000", "2026-10-25T04:00:00+02:00", hl7v2.Clear},
		{"20261025033000+0200", "2026-10-25T03:30:00+02:00", hl7v2.Clear},
		{"20260329033000-0500", "2026-03-29T03:30:00-05:00", hl7v2.Clear},
		{"2026", "2026-01-01T00:00:00+02:00", hl7v2.Clear},
	} {
		d, err := hl7v2.ParseDateTime(row.text)
		if err != nil {
			t.Fatal(err)
		}
		at, clock := d.Time(helsinki)
		if clock != row.clock || row.want != "" && at.Format(time.RFC3339) != row.want {
			t.Errorf("%s: got %s, %d", row.text, at.Format(time.RFC3339), clock)
		}
	}
}

func TestDateTimeOf(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 5, 3, 450e6, time.FixedZone("", -(3*3600+1800)))
	for precision, want := range map[hl7v2.Precision]string{
		hl7v2.ToDay: "20261123", hl7v2.ToSecond: "20261123080503-0330", hl7v2.ToFraction: "20261123080503.450-0330",
	} {
		if got := hl7v2.DateTimeOf(at, precision, precision > hl7v2.ToDay).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
