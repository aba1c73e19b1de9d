package hl7v2_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// corpusDir holds messages from elsewhere, beside the repository; the tests pass without it.
const corpusDir = "../../../shared/corpus"

// corpus gives the files of the corpus by name; none if it isn't there.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	if _, err := os.Stat(corpusDir); err != nil {
		return files
	}
	err := filepath.WalkDir(corpusDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.EqualFold(filepath.Ext(path), ".hl7") {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, corpusDir+"/")] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s is there but holds no messages", corpusDir)
	}
	return files
}

// Every message of the corpus comes back byte for byte, or is refused with a place.
func TestCorpusComesBackByteForByte(t *testing.T) {
	good, refused := 0, 0
	for name, file := range corpus(t) {
		parts, _ := hl7v2.Split(file)
		for _, part := range parts {
			m, err := hl7v2.Parse(part.Bytes, hl7v2.WithDefaultCharset(hl7v2.UTF8))
			if err != nil {
				refused++
				for _, f := range contracts.FaultsOf(err) {
					if f.At == "" || f.Kind != contracts.Malformed {
						t.Errorf("%s: a fault without place or of another kind: %v", name, f)
					}
				}
				continue
			}
			good++
			if !bytes.Equal(m.Bytes(), part.Bytes) {
				t.Errorf("%s: Bytes differs from what was parsed", name)
			}
			checkJSONRoundTrip(t, name, m)
			for _, f := range hl7v2.Validate(m, nil) {
				if f.At == "" || f.Code == "" {
					t.Errorf("%s: a finding without place or code: %v", name, f)
				}
			}
		}
	}
	t.Logf("%d messages parsed, %d refused", good, refused)
}

// checkJSONRoundTrip shows that encode after parse gives the message back, but for segment ends and trailing empties.
func checkJSONRoundTrip(t *testing.T, name string, m *hl7v2.Message) {
	t.Helper()
	back, err := hl7v2.EncodeJSON(m.AppendJSON(nil))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	var want []byte
	for _, s := range m.Segments() {
		want = append(append(want, s.Raw()...), '\r')
	}
	if !bytes.Equal(back, want) {
		t.Errorf("%s: got\n%q\nwant\n%q", name, back, want)
	}
}

func BenchmarkParse(b *testing.B) {
	message := []byte(strings.Join(referral, "\r") + "\r")
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hl7v2.Parse(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	message := []byte(strings.Join(referral, "\r") + "\r")
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hl7v2.Scan(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	m, err := hl7v2.Parse([]byte(strings.Join(referral, "\r") + "\r"))
	if err != nil {
		b.Fatal(err)
	}
	path := hl7v2.MustPath("PID-3[5=NNFIN].1")
	b.ReportAllocs()
	for b.Loop() {
		if !m.Get(path).IsFilled() {
			b.Fatal("nothing found")
		}
	}
}

// BenchmarkWalk reads every leaf, as a map does.
func BenchmarkWalk(b *testing.B) {
	message := []byte(strings.Join(referral, "\r") + "\r")
	m, err := hl7v2.Parse(message)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	var text []byte
	for b.Loop() {
		for _, s := range m.Segments() {
			for n := 1; n <= s.NumFields(); n++ {
				for _, rep := range s.Field(n).All() {
					for _, comp := range rep.All() {
						for _, sub := range comp.All() {
							text = sub.AppendText(text[:0])
						}
					}
				}
			}
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	message := []byte(strings.Join(referral, "\r") + "\r")
	m, err := hl7v2.Parse(message)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		build := hl7v2.NewBuilder(hl7v2.Standard, hl7v2.UTF8)
		for _, s := range m.Segments() {
			to := build.Append(s.ID())
			for n := 1; n <= s.NumFields(); n++ {
				for r, rep := range s.Field(n).All() {
					for c, comp := range rep.All() {
						for u, sub := range comp.All() {
							to.SetText(n, r, c, u, sub.Text())
						}
					}
				}
			}
		}
		if _, err := build.Bytes(); err != nil {
			b.Fatal(err)
		}
	}
}
