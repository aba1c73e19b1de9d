package mappings

import (
	"io/fs"
	"testing"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// referral is the message that the figures are of: the Finnish referral of the cases, 1.6 KB.
func referral(b testing.TB) (*Map, *hl7v2.Message) {
	b.Helper()
	m, err := catalog(b).Map("ref-i12")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range parsedCases(b, m) {
		if c.file == m.dir+"/cases/finnish-referral.txtar" {
			msg, err := hl7v2.Parse(c.message("in.hl7"))
			if err != nil {
				b.Fatal(err)
			}
			return m, msg
		}
	}
	b.Fatal("the case isn't there")
	return nil, nil
}

func BenchmarkForward(b *testing.B) {
	m, msg := referral(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Forward(msg, Context{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForwardWithResidue(b *testing.B) {
	m, msg := referral(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Forward(msg, Context{Residue: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReverse(b *testing.B) {
	m, msg := referral(b)
	res, err := m.Forward(msg, Context{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Reverse(res.Bundle, Context{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	m, msg := referral(b)
	res, err := m.Forward(msg, Context{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if fhir.Validate(res.Bundle).Err() != nil {
			b.Fatal("invalid")
		}
	}
}

// BenchmarkCompile reads and compiles the catalog that is built in: every map for every version, with all checks.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c := newCatalog()
		compileAll(c.read([]fs.FS{Embedded}))
		if err := c.files.faults(c.inOrder).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
