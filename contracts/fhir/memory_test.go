//go:build !race

package fhir

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What a sender writes decides neither how much memory is taken nor how many faults are listed: all that is allocated
// along the way, garbage too, stays below eight times the input, beside memoryConstant, which holds 200 faults with
// their places. The inputs are large enough that it doesn't hide a factor.
const (
	memoryFactor    = 8
	memoryConstant  = 256 << 10
	adversarialSize = 512 << 10
)

// fill repeats a part between begin and end; %d in it is its number. Parse takes a value for every four bytes.
func fill(size int, begin, part, end string) string {
	var b strings.Builder
	b.WriteString(begin)
	for i := 0; b.Len() < size; i++ {
		if b.Len() > len(begin) {
			b.WriteByte(',')
		}
		if strings.Contains(part, "%") {
			fmt.Fprintf(&b, strings.ReplaceAll(part, "%d", "%[1]d"), i)
		} else {
			b.WriteString(part)
		}
	}
	b.WriteString(end)
	return b.String()
}

func adversarial(size int) map[string]string {
	const patient, bundle, message = `{"resourceType":"Patient",`, `{"resourceType":"Bundle","type":"collection","entry":[`, `{"resourceType":"Bundle","type":"message","entry":[`
	deep := strings.Repeat(`{"extension":[`, 30) + "1" + strings.Repeat(`]}`, 30)
	return map[string]string{
		"numbers":                       fill(size, "[", "1  ", "]"),
		"short texts":                   fill(size, "[", `"a"`, "]"),
		"empty objects":                 fill(size, "[", "{} ", "]"),
		"small objects":                 fill(size, "[", `{"a":1}`, "]"),
		"many members":                  fill(size, "{", `"%d":1`, "}"),
		"many members by escapes":       fill(size, "{", `"\u0061%d":1`, "}"),
		"one member again and again":    fill(size, "{", `"a":1`, "}"),
		"members in pairs":              fill(size, "{", `"%d":1,"%d":2`, "}"),
		"deep lists":                    fill(size, "[", strings.Repeat("[", 60)+strings.Repeat("]", 60), "]"),
		"a huge text":                   `{"resourceType":"Patient","id":"` + strings.Repeat("a", size) + `"}`,
		"a huge text of escapes":        `{"resourceType":"Patient","name":[{"family":"` + strings.Repeat(`\u0061`, size/6) + `"}]}`,
		"halves of surrogates":          fill(size, "[", `"\ud800"`, "]"),
		"commas in a text":              `["` + strings.Repeat(",[{", size/3) + `"]`,
		"unknown elements":              fill(size, patient, `"a%d":1`, "}"),
		"unknown elements by escapes":   fill(size, patient, `"\u0061%d":1`, "}"),
		"unknown siblings":              fill(size, patient, `"_a%d":1`, "}"),
		"null values":                   fill(size, patient+`"name":[{"given":[`, "null", "]}]}"),
		"null siblings":                 fill(size, patient+`"name":[{"_given":[`, "null", "]}]}"),
		"texts by escapes":              fill(size, patient+`"name":[{"given":[`, `"\u0061"`, "]}]}"),
		"empty names":                   fill(size, patient+`"name":[`, "{} ", "]}"),
		"names":                         fill(size, patient+`"name":[`, `{"family":"a"}`, "]}"),
		"wrong dates":                   fill(size, patient+`"contact":[`, `{"period":{"start":"1976-13"}}`, "]}"),
		"deep faults":                   fill(size, patient+`"extension":[`, deep, "]}"),
		"contained resources":           fill(size, patient+`"contained":[`, `{"id":"%d"}`, "]}"),
		"empty contained resources":     fill(size, patient+`"contained":[`, "{} ", "]}"),
		"references to nothing":         fill(size, patient+`"generalPractitioner":[`, `{"reference":"#a"}`, "]}"),
		"references by identifier":      fill(size, patient+`"generalPractitioner":[`, `{"identifier":{"value":"1"}}`, "]}"),
		"references of a wrong type":    fill(size, patient+`"generalPractitioner":[`, `{"reference":"Task/1"}`, "]}"),
		"empty entries":                 fill(size, bundle, "{} ", "]}"),
		"entries":                       fill(size, bundle, `{"resource":{"resourceType":"Basic","id":"%d"}}`, "]}"),
		"entries of one type and id":    fill(size, bundle, `{"resource":{"resourceType":"Basic","id":"1"}}`, "]}"),
		"resources of no type":          fill(size, bundle, `{"resource":{"id":"1"}}`, "]}"),
		"one fullUrl again and again":   fill(size, message, `{"fullUrl":"a"}`, "]}"),
		"fullUrls":                      fill(size, message, `{"fullUrl":"urn:%d"}`, "]}"),
		"fullUrls by escapes":           fill(size, message, `{"fullUrl":"\u0061"}`, "]}"),
		"identifiers":                   fill(size, bundle+`{"resource":{"resourceType":"Patient","identifier":[`, `{"value":"%d"}`, "]}}]}"),
		"one identifier of many":        fill(size, bundle, `{"resource":{"resourceType":"Patient","identifier":[{"value":"1"}],"link":[{"type":"refer","other":{"identifier":{"value":"1"}}}]}}`, "]}"),
		"Bundles within the Bundle":     fill(size, bundle, `{"resource":{"resourceType":"Bundle","type":"collection","entry":[{}]}}`, "]}"),
		"entries of a profiled message": fill(size, `{"resourceType":"Bundle","meta":{"profile":["https://github.com/hoitosilta/silta/fhir/StructureDefinition/silta-message-request"]},"type":"message","entry":[`, `{"resource":{"resourceType":"Task"}}`, "]}"),
		"claims":                        fill(size, `{"resourceType":"Patient","meta":{"profile":[`, `"https://github.com/hoitosilta/silta/fhir/StructureDefinition/silta-patient"`, "]}}"),
		"claims of what isn't loaded":   fill(size, `{"resourceType":"Patient","meta":{"profile":[`, `"urn:%d"`, "]}}"),
		"identifiers of a profile":      fill(size, `{"resourceType":"Patient","meta":{"profile":["https://github.com/hoitosilta/silta/fhir/StructureDefinition/silta-patient"]},"identifier":[`, `{"value":"%d"}`, "]}"),
		"known extensions":              fill(size, `{"resourceType":"Patient","extension":[`, `{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthPlace","valueAddress":{"city":"a"}}`, "]}"),
		"unknown extensions":            fill(size, `{"resourceType":"Patient","extension":[`, `{"url":"urn:%d","valueBoolean":true}`, "]}"),
		"narratives":                    `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + strings.Repeat("<b>", size/3) + `</div>"}}`,
		"items of a questionnaire":      fill(size, `{"resourceType":"Questionnaire","status":"draft","item":[`, `{"linkId":"%d","type":"string"}`, "]}"),
		"codings":                       fill(size, `{"resourceType":"Condition","subject":{"display":"a"},"clinicalStatus":{"coding":[`, `{"system":"\u0061","code":"a"}`, "]}}"),
		"parameters within parameters":  fill(size, `{"resourceType":"Parameters","parameter":[`, `{"name":"a","part":[{"name":"b"}]}`, "]}"),
	}
}

// allocated gives the bytes that f allocates, garbage and all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestMemoryIsBounded(t *testing.T) {
	Definitions() // read once and kept: no cost of a resource
	worst := map[string]float64{}
	for name, text := range adversarial(adversarialSize) {
		in := []byte(text)
		check := func(what string, f func()) {
			got := allocated(f)
			if got > memoryFactor*uint64(len(in))+memoryConstant {
				t.Errorf("%s allocates %d bytes for %d bytes of %s", what, got, len(in), name)
			}
			worst[what] = max(worst[what], (float64(got)-memoryConstant)/float64(len(in)))
		}
		var tree *Tree
		check("Parse", func() { tree, _ = Parse(in) })
		if tree != nil {
			check("Validate", func() { Validate(tree) })
			check("NewBundle", func() { NewBundle(tree.Root()) })
		}
	}
	t.Logf("times the input at most: %.1f for Parse, %.1f for Validate, %.1f for NewBundle", worst["Parse"], worst["Validate"], worst["NewBundle"])
}

// What takes time by the square of such an input doesn't end before the tests' own deadline.
func TestHostileInputComesToAnEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("it works through some hundred megabytes")
	}
	for name, text := range adversarial(6 * adversarialSize) {
		if tree, err := Parse([]byte(text)); err == nil {
			Validate(tree)
		}
		t.Log(name)
	}
}
