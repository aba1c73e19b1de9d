package mappings

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// What no rule carries comes back by the residue: damaged messages are written as they came, and a change of one of their
// elements in FHIR wins, and changes nothing but what its own rules write. The cases try all of this on their own messages,
// each element changed, but for how the residue is made.
func TestTheLawsHoldOfDamagedMessages(t *testing.T) {
	for _, m := range v2Maps(t) {
		t.Run(m.ID(), func(t *testing.T) {
			random, translated := rand.New(rand.NewPCG(5, 6)), 0
			list := inputs(t, m)
			for _, b := range list {
				if msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8)); err == nil {
					checkResidue(t, m, msg)
				}
			}
			for n := range *damaged / 5 {
				b := damage(random, list[n%len(list)])
				msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
				if err != nil {
					continue
				}
				checkResidue(t, m, msg)
				for _, text := range m.breaches(msg, Context{}, 40) {
					t.Errorf("%s\n%s", text, lines(b))
				}
				if _, err := m.Forward(msg, Context{}); err == nil {
					translated++
				}
				if t.Failed() {
					return
				}
			}
			if translated < 50 {
				t.Errorf("only %d messages were translated: the test says little", translated)
			}
		})
	}
}

// The law that a change wins is seen to be tested: most changes come through.
func TestChangesComeThrough(t *testing.T) {
	for _, m := range v2Maps(t) {
		changed := 0
		for _, b := range inputs(t, m) {
			msg, err := hl7v2.Parse(b, hl7v2.WithDefaultCharset(hl7v2.UTF8))
			if err != nil {
				t.Fatal(err)
			}
			res, err := m.Forward(msg, Context{Residue: true})
			if err != nil {
				continue
			}
			c := Context{Version: msg.Version(), Origin: &Origin{Bundle: res.Bundle}}
			plain, err := m.reverse(res.Bundle, c, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range res.lineage {
				if o := &res.lineage[i]; o.segment > 0 && o.rule != nil && o.rule.backward {
					if _, came := m.change(msg, res, plain, o, c); came {
						changed++
					}
				}
			}
		}
		if changed < 20 {
			t.Errorf("%s: only %d changes come through: the law says little", m.Name(), changed)
		}
	}
}

// byDefinition is the way back of which the residue is the difference: the plain one, whose message is read again.
func byDefinition(k *residueMaker, m *Map, bundle *fhir.Tree, c Context) error {
	back, err := m.reverse(bundle, c, nil)
	if err != nil {
		return err
	}
	for _, o := range back.lineage {
		if o.node > 0 && !o.request {
			k.leaves = append(k.leaves, wrote{repetitionAt(int(o.segment)-1, int(o.field), int(o.rep)), o.node})
		}
	}
	k.written.of(back.Message)
	return nil
}

// checkResidue compares the residue that is kept of a message with that of the definition.
func checkResidue(t *testing.T, m *Map, msg *hl7v2.Message) {
	t.Helper()
	quick, err := m.forward(msg, Context{}, plainly)
	if err != nil {
		return
	}
	defined, err := m.forward(msg, Context{}, byDefinition)
	if err != nil {
		t.Fatal(err)
	}
	if at := firstDifference(quick.Bundle.Indent(nil), defined.Bundle.Indent(nil)); at != "" {
		t.Errorf("the residue isn't the difference between the message and the plain way back, first at %s\n%s", at, lines(msg.Bytes()))
	}
	if text := fhir.Extension(fhir.NewBundle(quick.Bundle.Root()).Header(), residueURL).Get("valueString").Text(); text != "" {
		said := &residue{}
		if err := json.Unmarshal([]byte(text), said); err != nil || !reflect.DeepEqual(readResidue(text), said) {
			t.Errorf("the residue isn't read as it was written (%v)\n%s", err, lines(msg.Bytes()))
		}
	}
}

// What a change in FHIR does to what was kept, by example.
func TestWhatIsKeptAfterAChange(t *testing.T) {
	m, err := catalog(t).Map("ref-i12")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte(strings.Join([]string{
		`MSH|^~\&|APOTTI|HELSINKI|SILTA|HUS|20260302093000||REF^I12^REF_I12|APO-1|P|2.5.1||||||UNICODE UTF-8`,
		`RF1|P|A^Pikana^HL70280||||LAH-1^APOTTI`,
		`PRD|RP|Mäkelä^Öykkö`,
		`PID|1||010594Y9021^^^&1.2.246.21&ISO^NNFIN||Mäki&von^Åsa^""^^^^L^^^^2019||||||||||||||4711^^^X`,
		`OBR|1|||L^Labra^L`,
		`OBX|1|NM|A^Eka^L||<1|mmol|||||F|||20260301||oma`,
		`ZOB|yksi`,
		`OBX|2|NM|B^Toka^L||2|mmol|||||F|||20260302`,
		`NTE||L|Hemolyysi`,
		`ZPI|1|oma`,
	}, "\r")))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, place, text string // an empty text takes the element's resource away
		holds, lacks      []string
	}{
		{"another priority takes the old one's text along", "ServiceRequest.priority", "stat", []string{"RF1|P|S^STAT^HL70280||||LAH-1^APOTTI\r"}, []string{"Pikana"}},
		{"another comparator takes the old value's type along", "Observation.valueQuantity.comparator", ">", []string{"OBX|1|SN|A^Eka^L||>^1|mmol|||||F|||20260301||oma\r"}, nil},
		{"where the value stays, so does its type", "Patient.name[0].family", "Toinen", []string{"OBX|1|NM|A^Eka^L||<1|mmol|||||F|||20260301||oma\r"}, nil},
		{"a family name keeps the other parts", "Patient.name[0].family", "Toinen", []string{`|Toinen^Åsa^""^^^^L^^^^2019||||||||||||||4711^^^X` + "\r"}, []string{"von"}},
		{"a taken observation takes its own, the others keep theirs", "Observation.valueQuantity", "", []string{"ZOB|yksi\rOBX|1|NM|B^Toka^L||2|mmol|||||F|||20260302\rNTE||L|Hemolyysi\rZPI|1|oma\r"}, []string{"A^Eka"}},
	} {
		bundle, err := fhir.Parse(res.Bundle.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		typ, rest, _ := strings.Cut(row.place, ".")
		resource := fhir.NewBundle(bundle.Root()).Find(typ)
		path, err := fhir.CompilePath(rest)
		if err != nil || !path.Get(resource).Exists() {
			t.Fatalf("%s: %v", row.place, err)
		}
		if row.text == "" {
			resource.Parent().Remove()
		} else {
			path.Get(resource).Put(fhir.String(row.text))
		}
		back, err := m.Reverse(bundle, Context{})
		if err != nil {
			t.Fatal(err)
		}
		got := string(back.Message.Bytes())
		for _, want := range row.holds {
			if !strings.Contains(got, want) {
				t.Errorf("%s: it lacks %q\n%s", row.name, want, lines([]byte(got)))
			}
		}
		for _, gone := range row.lacks {
			if strings.Contains(got, gone) {
				t.Errorf("%s: it holds %q\n%s", row.name, gone, lines([]byte(got)))
			}
		}
		if !slices.ContainsFunc(back.Findings, func(f *contracts.Fault) bool { return f.Code == CodeResidue }) {
			t.Errorf("%s: that something isn't put back isn't told", row.name)
		}
	}
}

// Another map's residue, a damaged one and one that isn't sound are no residue: the rules alone write.
func TestResidueOfOthers(t *testing.T) {
	m, msg := referral(t)
	res, err := m.Forward(msg, Context{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	own := func(kept string) string {
		return `{"silta":"residue/v1","map":"ref-i12","version":"2.3","wrote":["MSHabcd"],"kept":[` + kept + `]}`
	}
	if k := readResidue(own(`{"raw":"ZPI|1","if":[{"n":1,"on":["1-9"]}]}`)); k == nil || !k.sound() {
		t.Error("a sound one isn't")
	}
	for _, text := range []string{"{", "{}", `{"silta":"residue/v1","map":"siu-s12","version":"2.3","kept":[{"raw":"ZZZ|1"}]}`,
		`{"silta":"residue/v1","map":"ref-i12","version":"2.3","kept":[{"of":7}]}`, `{"silta":"residue/v1","map":"ref-i12","kept":[{"raw":"ZZZ|1\rEVN|"}]}`,
		`{"silta":"residue/v1","map":"ref-i12","wrote":["MSHabcd"],"kept":[{"of":1,"fields":[{"n":-1}]}]}`,
		own(`{"raw":"ZPI|1","if":[{"n":-1,"on":["1-9"]}]}`), own(`{"raw":"ZPI|1","if":[{"n":1,"on":["9-9"]}]}`), own(`{"raw":"ZPI|1","if":[{"n":1,"on":["1--5"]}]}`),
		own(`{"raw":"ZPI|1","if":[{"n":1,"on":["1"]}]}`), own(`{"raw":"ZPI|1","if":[{"n":1,"on":["1-99999999999999999999"]}]}`),
		own(`{"of":1,"fields":[{"n":3,"reps":[{"raw":"x","if":["1--5"]}]}]}`), own(`{"of":1,"fields":[{"n":30000000,"reps":[{"raw":"x"}]}]}`),
		own(`{"of":1,"fields":[{"n":3,"reps":[{"raw":"a\rPID"}]}]}`), own(`{"of":1,"fields":[{"n":3,"reps":[{"raw":"\r"}]}]}`), own(`{"raw":"MSH|^~\\&|OTHER"}`), own(`{"raw":"ZPIX|1"}`),
		own(`{"of":"1"}`), own(`{"of":1.5}`), own(`{"raw":["ZPI|1"]}`), own(`{"raw":"ZPI|1","if":{"n":1}}`), own(`"ZPI|1"`)} {
		bundle, err := fhir.Parse(res.Bundle.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		x := fhir.NewBundle(bundle.Root()).Header().Array("extension").Push(fhir.Object())
		x.Add("url", fhir.String(residueURL))
		x.Add("valueString", fhir.String(text))
		back, err := m.Reverse(bundle, Context{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if at := sameMessage(plain.Message, back.Message); at != "" {
			t.Errorf("%s changes %s", text, at)
		}
	}
}

// What is too large isn't kept, and that is told at its place.
func TestTheResidueIsBounded(t *testing.T) {
	m, msg := referral(t)
	large := strings.Repeat("x", mostRaw+1)
	msg, err := hl7v2.Parse([]byte(strings.TrimRight(string(msg.Bytes()), "\r") + "\rZAA|1|" + large + "\rZBB|1|small\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(res.Findings, func(f *contracts.Fault) bool { return f.Code == CodeDeclared && f.At == "ZAA" }) {
		t.Errorf("it isn't told: %v", res.Findings)
	}
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(back.Message.Bytes()); strings.Contains(got, "ZAA") || !strings.Contains(got, "\rZBB|1|small\r") {
		t.Error("the large segment is there, or the small one isn't")
	}
	if res.Leaves.Residue == 0 || res.Leaves.Rules+res.Leaves.Engine+res.Leaves.Ignored+res.Leaves.Residue != res.Leaves.All-2 {
		t.Errorf("leaves %+v: two of them aren't kept", res.Leaves)
	}
}

// What is between the sender and whom it sent to isn't kept, nor put back from a residue that holds it.
func TestTransportIsNotKept(t *testing.T) {
	m, msg := referral(t)
	head, rest, _ := strings.Cut(string(msg.Bytes()), "\r")
	fields := append(strings.Split(head, "|"), make([]string, 20)...)[:18]
	fields[7], fields[12], fields[13], fields[14], fields[15], fields[16] = "SECURITY", "71", "POINTER", "NE", "NE", "FIN"
	msg, err := hl7v2.Parse([]byte(strings.Join(fields, "|") + "\r" + rest))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	if l := res.Leaves; l.Rules+l.Engine+l.Ignored+l.Residue != l.All-3 {
		t.Errorf("leaves %+v: MSH-8, 13 and 14 are neither ignored nor kept", l)
	}
	text := fhir.Extension(fhir.NewBundle(res.Bundle.Root()).Header(), residueURL).Get("valueString")
	if strings.Contains(text.Text(), "SECURITY") || strings.Contains(text.Text(), "POINTER") {
		t.Error("it is kept")
	}
	text.Put(fhir.String(strings.Replace(text.Text(), `{"of":1`, `{"of":1,"fields":[{"n":15,"reps":[{"raw":"NE"}]}]`, 1)))
	back, err := m.Reverse(res.Bundle, Context{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{8, 13, 14, 15, 16, 17} {
		if got := back.Message.Segment(0).Field(n).ER7(); got != "" {
			t.Errorf("MSH-%d is written", n)
		}
	}
}

// With a truncation character in MSH-2, a text that ends with it is escaped, kept or written by the rules.
func TestTheTruncationCharacterIsEscapedInWhatIsKept(t *testing.T) {
	m, err := catalog(t).Map("oru-r01")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := hl7v2.Parse([]byte("MSH|^~\\&|RIS|HUS|A|B|20260306120000+0200||ORU^R01^ORU_R01|R1|P|2.7||||||UNICODE UTF-8\rPID|1||A^^^X^MR||K#^L#1|own#&a\r" +
		"OBR|1|L-1|R-101^RIS|36643-5^Kuva#^LN|||20260306|||||||||||||||20260306115500+0200||RAD|F\rZPI|1|a#~b#c\r"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Forward(msg, Context{Residue: true})
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Reverse(res.Bundle, Context{Mark: true})
	if err != nil {
		t.Fatal(err)
	}
	got := string(back.Message.Bytes())
	for _, want := range []string{`MSH|^~\&#|`, `|K\P\^L#1|own\P\&a`, `^Kuva\P\^LN|`, `ZPI|1|a\P\~b#c`} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %s\n%s", want, lines([]byte(got)))
		}
	}
}
