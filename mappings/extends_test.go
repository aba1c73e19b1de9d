package mappings

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// TestOverlayMap runs the cases of a partner's own map, which has only what differs from the base.
func TestOverlayMap(t *testing.T) {
	c, err := Load(Embedded, os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Map("apotti.ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	if m.Extends() != "ref-i12@0.1.0" || !slices.Equal(m.Versions(), []string{"2.4", "2.5.1"}) {
		t.Errorf("it extends %q, for %v", m.Extends(), m.Versions())
	}
	reports, err := m.Test()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		for _, f := range r.Faults {
			t.Error(f.Text(r.File))
		}
	}
	for _, f := range c.Check() {
		if f.File == "catalog/apotti.ref-i12/0.1.0/map.yaml" {
			t.Error(f.Text(""))
		}
	}
}

// onSmall loads a catalog of the small map, and a block-using one, with overlays on them.
func onSmall(t *testing.T, overlays ...string) (*Catalog, error) {
	t.Helper()
	using := strings.NewReplacer("id: small", "id: using", "rules:\n", "use:\n  - {block: names@0.1.0, for: pat}\nrules:\n",
		"  - {id: names, v2: PID-5(*), fhir: pat.name(*), as: xpn}\n", "").Replace(small)
	layer := fstest.MapFS{
		"catalog/small/0.1.0/map.yaml": {Data: []byte(small)},
		"catalog/using/0.1.0/map.yaml": {Data: []byte(using)},
		"catalog/names/0.1.0/block.yaml": {Data: []byte("silta: block/v1\nid: names\nversion: 0.1.0\nv2: {anchor: PID}\nfhir: {type: Patient}\nrules:\n" +
			"  - {id: names, v2: it-5(*), fhir: it.name(*), as: xpn}\n")},
	}
	for i, text := range overlays {
		layer[fmt.Sprintf("catalog/over%d/0.1.0/map.yaml", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return Load(layer)
}

// overlayOf is the n-th overlay, on a map.
func overlayOf(n int, base, rest string) string {
	return fmt.Sprintf("silta: map/v1\nid: over%d\nversion: 0.1.0\nextends: %s\n%s", n, base, rest)
}

// TestOverlayMistakes: what an overlay gets wrong is told at its own line and column.
func TestOverlayMistakes(t *testing.T) {
	for _, row := range []struct{ name, code, text, says string }{
		{"no version", CodePin, overlayOf(1, "§small", ""), "such as small@0.1.0"},
		{"overridden and removed", CodeOverlay, overlayOf(1, "small@0.1.0", "override:\n  - {id: §names, as: xpn}\nremove: {names: \"not theirs\"}\n"), "`remove`"},
		{"overridden twice", CodeDuplicate, overlayOf(1, "small@0.1.0", "override:\n  - {id: names, until: \"2.6\"}\n  - {id: §names, until: \"2.5\"}\n"), "above"},
		{"nothing ignored to take out", CodeOverlay, overlayOf(1, "small@0.1.0", "ignore: {v2: {§PID-3: ~}}\n"), `did you mean "PID-2"`},
		{"no code map to take out", CodeOverlay, overlayOf(1, "small@0.1.0", "codes: {§sexx: ~}\n"), `did you mean "sex"`},
		{"no such base", CodeName, overlayOf(1, "§smal@0.1.0", ""), `did you mean "small@0.1.0"`},
		{"itself", CodeOverlay, overlayOf(1, "§over1@0.1.0", ""), "itself"},
		{"an unknown rule", CodeOverlay, overlayOf(1, "small@0.1.0", "override:\n  - {id: §name, as: xpn}\n"), `did you mean "names"`},
		{"a rule without its id", CodeType, overlayOf(1, "small@0.1.0", "override:\n  - §{as: xpn}\n"), "id"},
		{"an unknown key", CodeUnknownKey, overlayOf(1, "small@0.1.0", "override:\n  - {id: names, §has: xpn}\n"), `did you mean "as"`},
		{"an unknown lens", CodeLens, overlayOf(1, "small@0.1.0", "override:\n  - {id: names, as: §xpm}\n"), `did you mean "xpn"`},
		{"rows of no table", CodeUnknownKey, overlayOf(1, "small@0.1.0", "override:\n  - {id: names, §rows: {add: []}}\n"), "rows"},
		{"a row before nothing", CodeType, overlayOf(1, "small@0.1.0", "override:\n  - {id: state, rows: {add: [], before: §7}}\n"), "1 to 2"},
		{"a rule that is there", CodeOverlay, overlayOf(1, "small@0.1.0", "rules:\n  - {id: §names, v2: PID-5(*), fhir: pat.name(*), as: xpn}\n"), "override"},
		{"behind nothing", CodeOverlay, overlayOf(1, "small@0.1.0", "rules:\n  - {id: new, v2: PID-10(1), fhir: pat.maritalStatus, as: cwe, after: §nams}\n"), `did you mean "names"`},
		{"nothing to remove", CodeOverlay, overlayOf(1, "small@0.1.0", "remove: {§nams: \"why not\"}\n"), `did you mean "names"`},
		{"removed without a reason", CodeType, overlayOf(1, "small@0.1.0", "remove: {§names: \"\"}\n"), "why"},
		{"a frame that isn't there", CodeOverlay, overlayOf(1, "small@0.1.0", "resources: {§dog: ~}\n"), `did you mean "doc"`},
		{"codes of nobody", CodeNoCodeMap, overlayOf(1, "small@0.1.0", "codes:\n  own: {extends: §sexx, map: {X: other}}\n"), `did you mean "sex"`},
		{"codes of themselves", CodeOverlay, overlayOf(1, "small@0.1.0", "codes:\n  a: {extends: b, map: {X: other}}\n  b: {extends: §a, map: {Y: male}}\n"), "itself"},
		{"a second code for one", CodeInjective, overlayOf(1, "small@0.1.0", "codes:\n  sex: {extends: sex, map: {§X: other}}\n"), "prefer"},
		{"a block's rule that isn't there", CodeOverlay, overlayOf(1, "using@0.1.0", "override:\n  - {id: §pat.name, as: xpn}\n"), `did you mean "pat.names"`},
		{"a block's rule with a mistake", CodeLens, overlayOf(1, "using@0.1.0", "override:\n  - {id: pat.names, as: §xpm}\n"), `did you mean "xpn"`},
		{"override without a base", CodeOverlay, strings.Replace(overlayOf(1, "", "§override: []\n"), "extends: \n", "", 1), "extends"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, _, _ := strings.Cut(row.text, "§")
			want := fmt.Sprintf("catalog/over1/0.1.0/map.yaml:%d:%d %s", strings.Count(before, "\n")+1, len(before[strings.LastIndex(before, "\n")+1:])+1, row.code)
			_, err := onSmall(t, strings.Replace(row.text, "§", "", 1))
			var got []string
			for _, f := range contracts.FaultsOf(err) {
				got = append(got, f.Place()+" "+f.Code)
				if f.Place()+" "+f.Code == want && !strings.Contains(f.Public, row.says) {
					t.Errorf("text %q lacks %q", f.Public, row.says)
				}
			}
			if !slices.Contains(got, want) {
				t.Errorf("want %s\n got %s", want, strings.Join(got, "\n     "))
			}
		})
	}
}

// TestOverlayIsOneMap: the whole is checked as one; a mistake in what the base has is told there, once.
func TestOverlayIsOneMap(t *testing.T) {
	_, err := onSmall(t, overlayOf(1, "small@0.1.0", "v2: {versions: [\"2.3..2.8\"]}\nresources: {pat: {type: Device}}\n"))
	var places []string
	for _, f := range contracts.FaultsOf(err) {
		places = append(places, f.Place()+" "+f.Code)
	}
	slices.Sort(places)
	if len(places) == 0 || len(places) != len(slices.Compact(slices.Clone(places))) {
		t.Errorf("faults: %v", places)
	}
	if !slices.ContainsFunc(places, func(s string) bool { return strings.HasPrefix(s, "catalog/small/0.1.0/map.yaml:") }) {
		t.Errorf("no fault is told in the base: %v", places)
	}
}

// TestOverlayOnOverlay: an overlay may stand on another, and its entries have the names that the base would give them.
func TestOverlayOnOverlay(t *testing.T) {
	c, err := onSmall(t,
		overlayOf(1, "using@0.1.0", "override:\n  - {id: pat.names, v2: it-9(*), until: \"2.6\"}\nremove: {sex: \"not theirs\"}\n"),
		overlayOf(2, "over1@0.1.0", "rules:\n  - {id: sex, v2: PID-8.1, fhir: pat.gender, code: sex, after: ids}\ncodes:\n  sex: {extends: sex, map: {K: female}, prefer: {female: K}}\n"))
	if err != nil {
		t.Fatal(contracts.FaultsOf(err)[0].Text(""))
	}
	read := func(sex string) *hl7v2.Message {
		msg, err := hl7v2.Parse([]byte("MSH|^~\\&|A|B|C|D|20260302||REF^I12|7|P|2.5.1\rRF1|P|S\rPRD|RP|X^Y\rPID|1||1^^^X^MR||Old^Name||1994|" + sex + "|New^Name"))
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	entry := func(name, sex string) (*Result, fhir.Node) {
		m, err := c.Map(name)
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Forward(read(sex), Context{})
		if err != nil {
			t.Fatal(err)
		}
		return res, res.Bundle.Root().Get("entry").At(2)
	}
	_, base := entry("using", "F")
	res, own := entry("over2", "K")
	if pat := own.Get("resource"); pat.Get("name").At(0).Get("family").Text() != "New" || pat.Get("gender").Text() != "female" {
		t.Error("the overlays don't both hold")
	}
	if base.Get("fullUrl").Text() == "" || base.Get("fullUrl").Text() != own.Get("fullUrl").Text() {
		t.Error("an overlay gives its entries other names than the base")
	}
	m, err := c.Map("over2")
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil || back.Message.Get(hl7v2.MustPath("PID-8")).Text() != "K" {
		t.Errorf("the way back: %v", err)
	}
}
