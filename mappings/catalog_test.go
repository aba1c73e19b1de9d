package mappings

import (
	"bytes"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// TestOneMapManyMessages: a map serves many goroutines, and none sees another's message.
func TestOneMapManyMessages(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for _, data := range inputs(t, m) {
		msg, err := hl7v2.Parse(data, hl7v2.WithDefaultCharset(hl7v2.UTF8))
		if err != nil {
			t.Fatal(err)
		}
		first, err := m.Forward(msg, Context{Residue: true})
		if err != nil {
			continue // it parks, as its case says
		}
		want := first.Bundle.Append(nil)
		for range 4 {
			wait.Go(func() {
				for range 25 {
					res, err := m.Forward(msg, Context{Residue: true})
					if err != nil || !bytes.Equal(res.Bundle.Append(nil), want) {
						t.Errorf("another Bundle: %v", err)
						return
					}
					if _, err := m.Reverse(res.Bundle, Context{Residue: true}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
}

// TestOverlay: a later layer adds maps and versions, and may repeat what an earlier one has.
func TestOverlay(t *testing.T) {
	built, err := fs.ReadFile(Embedded, "catalog/ref-i12/0.1.0/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	overlay := fstest.MapFS{
		"catalog/small/0.1.0/map.yaml":   {Data: []byte(small)},
		"catalog/small/0.2.0/map.yaml":   {Data: []byte(strings.Replace(small, "0.1.0", "0.2.0", 1))},
		"catalog/ref-i12/0.1.0/map.yaml": {Data: built},
	}
	c, err := Load(Embedded, overlay)
	if err != nil {
		t.Fatal(err)
	}
	newest, err := c.Map("small")
	if err != nil || newest.Version() != "0.2.0" {
		t.Errorf("newest is %v, %v", newest, err)
	}
	if old, err := c.Map("small@0.1.0"); err != nil || old.Digest() == newest.Digest() {
		t.Errorf("the older version isn't there on its own: %v", err)
	}
	base := catalog(t)
	mine, err1 := c.Map("ref-i12")
	theirs, err2 := base.Map("ref-i12")
	if err1 != nil || err2 != nil || mine.Digest() != theirs.Digest() {
		t.Error("repeating a built-in version changes it")
	}
	if _, err := c.Map("smal"); contracts.KindOf(err) != contracts.NotFound {
		t.Errorf("an unknown map: %v", err)
	}
}

// TestMapForAMessage: type and event choose a map, in its newest version; what no map takes has none.
func TestMapForAMessage(t *testing.T) {
	built, err := fs.ReadFile(Embedded, "catalog/ref-i12/0.1.0/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(built), "version: 0.1.0", "version: 0.2.0", 1)
	c, err := Load(Embedded, fstest.MapFS{"catalog/ref-i12/0.2.0/map.yaml": {Data: []byte(newer)}})
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string]string{"REF^I14": "ref-i12@0.2.0", "SIU^S26": "siu-s12@0.1.0", "REF^I99": "", "QBP^Q21": ""} {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||" + typ + "|1|P|2.5.1\r"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if m := c.For(msg); m != nil {
			got = m.Name()
		}
		if got != want {
			t.Errorf("%s has the map %q, want %q", typ, got, want)
		}
	}
}

// TestEmptyAndMisplaced: a catalog without maps, and a map in the wrong folder, are faults.
func TestEmptyAndMisplaced(t *testing.T) {
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("an empty catalog loads")
	}
	_, err := Load(Embedded, fstest.MapFS{"catalog/small/9.9.9/map.yaml": {Data: []byte(small)}})
	found := false
	for _, f := range contracts.FaultsOf(err) {
		found = found || f.Code == CodeCatalogLayout && f.Place() == "catalog/small/9.9.9/map.yaml:2:5"
	}
	if !found {
		t.Errorf("a map in another version's folder: %v", err)
	}
}

// referralFiles are ref-i12 and all that it stands on.
func referralFiles() []string {
	files := []string{"catalog/ref-i12/0.1.0/map.yaml"}
	for _, block := range []string{"patient", "kin", "guarantor", "coverage", "insurer", "insured", "diagnosis", "allergy", "observation", "visit", "visit-additional",
		"clinician", "provider", "provider-person", "provider-unit"} {
		files = append(files, "catalog/"+block+"/0.1.0/block.yaml")
	}
	for _, code := range []string{"administrative-sex", "observation-status", "diagnostic-report-status"} {
		files = append(files, "codes/"+code+"@0.1.0.json")
	}
	return files
}

// TestLock: a published version is held to its bytes, and to those of all that it stands on.
func TestLock(t *testing.T) {
	read := func(name string) []byte {
		data, err := Embedded.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	files := fstest.MapFS{}
	for _, name := range referralFiles() {
		files[name] = &fstest.MapFile{Data: read(name)}
	}
	files["catalog/mine/1.0.0/map.yaml"] = &fstest.MapFile{Data: []byte("silta: map/v1\nid: mine\nversion: 1.0.0\nextends: ref-i12@0.1.0\n")}
	open := func() (*Map, error) {
		c, err := Load(files)
		if err != nil {
			return nil, err
		}
		return c.Map("mine")
	}
	m, err := open()
	if err != nil || m.Published() {
		t.Fatal("published without being so", err)
	}
	lock := m.Publish(nil)
	if again := m.Publish(lock); !bytes.Equal(again, lock) {
		t.Error("publishing the same twice changes the lock file")
	}
	files[LockFile] = &fstest.MapFile{Data: lock}
	if m, err = open(); err != nil || !m.Published() {
		t.Fatal("it isn't published", err)
	}
	for name := range files {
		if name == LockFile {
			continue
		}
		was := files[name]
		for _, now := range []*fstest.MapFile{{Data: append(bytes.Clone(was.Data), '\n')}, nil} {
			if files[name] = now; now == nil {
				delete(files, name)
			}
			_, err := open()
			want := name
			if now == nil {
				want = LockFile
			}
			found := false
			for _, f := range contracts.FaultsOf(err) {
				found = found || f.Code == CodeLocked && f.File == want
			}
			if !found {
				t.Errorf("%s was touched or is gone, and nothing says so: %v", name, err)
			}
		}
		files[name] = was
	}
	files[LockFile] = &fstest.MapFile{Data: append(bytes.Clone(lock), "what is this\nmap\n"...)}
	if _, err := open(); err == nil {
		t.Error("a lock file of another form loads")
	}
}

// TestDigestCoversWhatIsUsed: another byte in a block or a code map is another digest of the map.
func TestDigestCoversWhatIsUsed(t *testing.T) {
	changed := func(name, old, new string) string {
		layer := fstest.MapFS{}
		for _, file := range referralFiles() {
			data, err := Embedded.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if file == name {
				if !bytes.Contains(data, []byte(old)) {
					t.Fatalf("%s doesn't hold %q", file, old)
				}
				data = bytes.Replace(data, []byte(old), []byte(new), 1)
			}
			layer[file] = &fstest.MapFile{Data: data}
		}
		c, err := Load(layer)
		if err != nil {
			t.Fatal(err)
		}
		return c.Maps()[0].Digest()
	}
	plain := changed("", "", "")
	if plain != changed("", "", "") {
		t.Error("the digest isn't the same twice")
	}
	for _, edit := range [][3]string{
		{"catalog/ref-i12/0.1.0/map.yaml", "# The referral", "# A referral"},
		{"catalog/patient/0.1.0/block.yaml", "# A block", "# The block"},
		{"codes/administrative-sex@0.1.0.json", `"draft"`, `"active"`},
	} {
		if changed(edit[0], edit[1], edit[2]) == plain {
			t.Errorf("the digest doesn't cover %s", edit[0])
		}
	}
}

// TestLineage: each written leaf names its rule, its place and its lens.
func TestLineage(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||REF^I12|7|P|2.5.1\rRF1|P|S||||L-1\rPRD|RP|X^Y\rPID|1||1^^^&1.2.246.21&ISO^NNFIN||X^Y||1994|F"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]Line{}
	for _, l := range res.Lines() {
		lines[l.Rule+" "+l.From] = l
		if l.Rule == "" || l.From == "" || l.To == "" {
			t.Errorf("a leaf without its origin: %+v", l)
		}
	}
	for _, want := range []Line{
		{"pat.hetu", "PID-3(1).1", "Bundle.entry[3].resource.identifier[0].value", "string"},
		{"pat.birth", "PID-7(1).1", "Bundle.entry[3].resource.birthDate", "date"},
		{"pat.sex", "PID-8(1).1", "Bundle.entry[3].resource.gender", "code:administrative-sex@0.1.0"},
		{"sr.priority", "RF1-2(1).1", "Bundle.entry[2].resource.priority", "code:referral-priority"},
		{"link", "link", "", ""},
		{"const", "const", "", ""},
	} {
		got, ok := lines[want.Rule+" "+want.From]
		if want.To == "" {
			want.To = got.To
		}
		if !ok || got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range back.Lines() {
		if l.Rule == "pat.birth" && (l.To != "PID-7(1).1" || l.From != "Bundle.entry[3].resource.birthDate") {
			t.Errorf("on the way back: %+v", l)
		}
	}
}

// FuzzCompile: whatever stands in a map file, compiling it gives faults and no panic.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(small))
	for _, row := range mistakes {
		text := small
		replaced := strings.Split(row.new, "¦")
		for i, old := range strings.Split(row.old, "¦") {
			text = strings.Replace(text, old, strings.ReplaceAll(replaced[i], "§", ""), 1)
		}
		f.Add([]byte(text))
	}
	f.Add([]byte(smallFHIR))
	overlay, err := os.ReadFile("testdata/catalog/apotti.ref-i12/0.1.0/map.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(overlay)
	c := catalog(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, faults := c.CompileFile("fuzz", data)
		if m != nil && faults.Err() != nil {
			t.Error("a map with faults was given")
		}
	})
}

// TestAMessageForAnotherMap: the fault names what the map takes.
func TestAMessageForAnotherMap(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"ORU^R01", "REF^I99"} {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A||||||" + kind + "|1|P|2.5.1\r"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Forward(msg, Context{})
		if faults := contracts.FaultsOf(err); len(faults) != 1 || faults[0].Code != CodeStructure || !strings.Contains(faults[0].Public, "REF^I12") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
