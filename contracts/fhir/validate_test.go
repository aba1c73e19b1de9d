package fhir

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/contracts"
)

// faultsOf gives code and place of each fault, warnings with a ? behind. The note that narratives are good to have is
// left out.
func faultsOf(t *testing.T, in string) string {
	t.Helper()
	tree, err := Parse([]byte(in))
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	var got []string
	for _, f := range Validate(tree) {
		if f.Kind != contracts.Invalid || f.Public == "" {
			t.Errorf("fault without kind or text: %+v", f)
		}
		if f.Grade == contracts.GradeNote {
			continue
		}
		s := f.Code[len("FHIR-"):] + " " + f.At
		if f.Grade == contracts.GradeWarning {
			s += "?"
		}
		got = append(got, s)
	}
	return strings.Join(got, "; ")
}

const (
	task = `"resourceType":"Task","status":"requested","intent":"order"`
	obs  = `"resourceType":"Observation","status":"final","code":{"text":"x"}`
	appt = `"resourceType":"Appointment","status":"proposed","participant":[{"status":"accepted","actor":{"display":"x"}}]`
)

func TestValidResources(t *testing.T) {
	for name, in := range map[string]string{
		"all dates that there are":        `{"resourceType":"Patient","birthDate":"2024-02-29"}`,
		"a year for a date":               `{"resourceType":"Patient","birthDate":"1970"}`,
		"a month for a date":              `{"resourceType":"Patient","birthDate":"1970-12"}`,
		"a date time without time":        `{` + task + `,"authoredOn":"2026-03-02"}`,
		"a date time with zone":           `{` + task + `,"authoredOn":"2026-03-02T23:59:60.123+14:00"}`,
		"an instant in UTC":               `{"resourceType":"Bundle","type":"collection","timestamp":"2026-03-02T00:00:00Z"}`,
		"a sibling alone":                 `{"resourceType":"Patient","_birthDate":{"extension":[{"url":"urn:x","valueBoolean":true}]}}`,
		"a required element by extension": `{"resourceType":"Task","_status":{"extension":[{"url":"urn:x","valueCode":"a"}]},"intent":"order"}`,
		"siblings in a list":              `{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"urn:x","valueCode":"a"}]}]}]}`,
		"one type of a choice":            `{` + obs + `,"valueQuantity":{"value":1.10,"unit":"mm"}}`,
		"a contained resource":            `{` + task + `,"contained":[{"resourceType":"Patient","id":"p"}],"for":{"reference":"#p"}}`,
		"a reference to the container":    `{` + task + `,"contained":[{"resourceType":"Provenance","id":"p","target":[{"reference":"#"}],"recorded":"2026-03-02T00:00:00Z","agent":[{"who":{"display":"x"}}]}]}`,
		"a reference elsewhere":           `{` + appt + `,"basedOn":[{"reference":"ServiceRequest/1/_history/2"},{"reference":"https://x.example/fhir/ServiceRequest/1"}]}`,
		"a code from an open value set":   `{"resourceType":"Binary","contentType":"application/pdf"}`,
		"a content reference":             `{"resourceType":"Bundle","type":"collection","entry":[{"link":[{"relation":"self","url":"urn:x"}],"fullUrl":"urn:x:1","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`,
		"a concept with a required code":  `{"resourceType":"AllergyIntolerance","patient":{"display":"x"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}}`,
		"base64 with white space":         `{"resourceType":"Binary","contentType":"text/plain","data":"YWJj\nZA=="}`,
		"a number in a choice":            `{` + obs + `,"valueInteger":-5}`,
		"an OID":                          `{"resourceType":"ConceptMap","status":"draft","extension":[{"url":"urn:x","valueOid":"urn:oid:1.2.246.10"}]}`,
	} {
		if got := faultsOf(t, in); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, name := range []string{"request", "response-accepted", "response-returned", "appointment", "feedback"} {
		if got := faultsOf(t, string(example(t, name))); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestInvalidResources(t *testing.T) {
	patient := func(members string) string { return `{"resourceType":"Patient",` + members + `}` }
	for name, row := range map[string]struct{ in, want string }{
		"a list at the top":              {`[]`, "010 $this"},
		"no resource type":               {`{"id":"1"}`, "010 $this"},
		"a resource type that is none":   {`{"resourceType":"Pasient"}`, "011 $this"},
		"an abstract resource type":      {`{"resourceType":"DomainResource"}`, "011 DomainResource"},
		"a data type for a resource":     {`{"resourceType":"HumanName"}`, "011 HumanName"},
		"an unknown element":             {patient(`"birthdate":"1970"`), "012 Patient.birthdate"},
		"an unknown element below":       {patient(`"contact":[{"nane":{"family":"A"},"name":{"family":"A"}}]`), "012 Patient.contact[0].nane"},
		"an unknown sibling":             {patient(`"_nothing":{"id":"a"}`), "012 Patient.nothing"},
		"a name that is a value":         {patient(`"Erkki Esimerkki":1`), "012 Patient.?"},
		"a choice without its type":      {`{` + obs + `,"value":1}`, "012 Observation.value"},
		"a choice with a wrong type":     {`{` + obs + `,"valueDate":"2026-01-01"}`, "012 Observation.valueDate"},
		"another version's element":      {`{` + task + `,"requestedPeriod":{"start":"2026"}}`, "012 Task.requestedPeriod"},
		"a resourceType in a data type":  {patient(`"name":[{"resourceType":"HumanName","family":"A"}]`), "012 Patient.name[0].resourceType"},
		"a required element missing":     {`{"resourceType":"Task","intent":"order"}`, "013 Task.status"},
		"two required elements missing":  {`{"resourceType":"Task"}`, "013 Task.status; 013 Task.intent"},
		"a required element below":       {patient(`"link":[{"type":"seealso"}]`), "013 Patient.link[0].other"},
		"a required choice missing":      {`{"resourceType":"Bundle","id":"1","type":"message","entry":[{"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","resource":{"resourceType":"MessageHeader","source":{"endpoint":"urn:x"}}}]}`, "013 Bundle.entry[0].resource.event"},
		"a required list missing":        {`{"resourceType":"Appointment","status":"proposed"}`, "013 Appointment.participant"},
		"a list for one value":           {patient(`"birthDate":["1970"]`), "014 Patient.birthDate"},
		"a list for one object":          {`{` + task + `,"for":[{"display":"x"}]}`, "014 Task.for"},
		"one value for a list":           {patient(`"name":{"family":"A"}`), "015 Patient.name"},
		"a fault inside it all the same": {patient(`"name":{"famly":"A"}`), "015 Patient.name; 012 Patient.name.famly"},
		"a text for an object":           {`{` + task + `,"for":"Patient/1"}`, "015 Task.for"},
		"an object for a text":           {patient(`"birthDate":{"value":"1970"}`), "015 Patient.birthDate"},
		"a text for a boolean":           {patient(`"active":"true"`), "015 Patient.active"},
		"a number for a text":            {patient(`"identifier":[{"value":12}]`), "015 Patient.identifier[0].value"},
		"a text for a number":            {`{` + obs + `,"valueInteger":"1"}`, "015 Observation.valueInteger"},
		"null for an element":            {patient(`"birthDate":null`), "015 Patient.birthDate"},
		"null in a list of texts":        {patient(`"name":[{"given":["A",null]}]`), "015 Patient.name[0].given[1]"},
		"null in a list of objects":      {patient(`"name":[null]`), "015 Patient.name[0]"},
		"the 13th month":                 {patient(`"birthDate":"1976-13-25"`), "016 Patient.birthDate"},
		"the 30th of February":           {patient(`"birthDate":"2024-02-30"`), "016 Patient.birthDate"},
		"the 29th in a common year":      {patient(`"birthDate":"2100-02-29"`), "016 Patient.birthDate"},
		"the 31st of a short month":      {patient(`"birthDate":"2026-04-31"`), "016 Patient.birthDate"},
		"a day zero":                     {patient(`"birthDate":"2026-04-00"`), "016 Patient.birthDate"},
		"a year zero":                    {patient(`"birthDate":"0000"`), "016 Patient.birthDate"},
		"a short year":                   {patient(`"birthDate":"70"`), "016 Patient.birthDate"},
		"a date in v2's form":            {patient(`"birthDate":"19700101"`), "016 Patient.birthDate"},
		"a time in a date":               {patient(`"birthDate":"1970-01-01T00:00:00Z"`), "016 Patient.birthDate"},
		"a date time without zone":       {`{` + task + `,"authoredOn":"2026-03-02T10:00:00"}`, "016 Task.authoredOn"},
		"a date time without seconds":    {`{` + task + `,"authoredOn":"2026-03-02T10:00Z"}`, "016 Task.authoredOn"},
		"an hour 24":                     {`{` + task + `,"authoredOn":"2026-03-02T24:00:00Z"}`, "016 Task.authoredOn"},
		"a zone of 15 hours":             {`{` + task + `,"authoredOn":"2026-03-02T10:00:00+15:00"}`, "016 Task.authoredOn"},
		"a zone without colon":           {`{` + task + `,"authoredOn":"2026-03-02T10:00:00+0200"}`, "016 Task.authoredOn"},
		"a point without fraction":       {`{` + task + `,"authoredOn":"2026-03-02T10:00:00.Z"}`, "016 Task.authoredOn"},
		"a date for an instant":          {`{"resourceType":"Bundle","type":"collection","timestamp":"2026-03-02"}`, "016 Bundle.timestamp"},
		"a time with a zone":             {`{` + obs + `,"valueTime":"10:00:00Z"}`, "016 Observation.valueTime"},
		"an id with an underscore":       {patient(`"id":"a_b"`), "016 Patient.id"},
		"an id of 65":                    {patient(`"id":"` + strings.Repeat("a", 65) + `"`), "016 Patient.id"},
		"a code with a space in front":   {patient(`"language":" fi"`), "016 Patient.language"},
		"a uri with a space":             {patient(`"identifier":[{"system":"urn:my system"}]`), "016 Patient.identifier[0].system"},
		"a uri with half an OID":         {patient(`"identifier":[{"system":"urn:oid:1.2.x"}]`), "038 Patient.identifier[0].system"},
		"a uri with half a UUID":         {patient(`"implicitRules":"urn:uuid:c757873d-ec9a"`), "038 Patient.implicitRules"},
		"a relative system":              {patient(`"identifier":[{"system":"hetu","value":"x"}]`), "038 Patient.identifier[0].system"},
		"a relative code system":         {`{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"loinc","code":"x"}]}}`, "038 Observation.code.coding[0].system"},
		"a relative system of units":     {`{` + obs + `,"valueQuantity":{"value":1,"system":"ucum","code":"m"}}`, "038 Observation.valueQuantity.system"},
		"an OID that is no URI":          {patient(`"identifier":[{"system":"urn:ietf:rfc:3986","value":"1.2.246.10"}]`), "038 Patient.identifier[0].value"},
		"an extension of a relative url": {patient(`"extension":[{"url":"x","valueCode":"a"}]`), "038 Patient.extension[0].url"},
		"an OID without its arcs":        {patient(`"extension":[{"url":"urn:x","valueOid":"urn:oid:1"}]`), "016 Patient.extension[0].valueOid"},
		"an OID that begins with 3":      {patient(`"extension":[{"url":"urn:x","valueOid":"urn:oid:3.1"}]`), "016 Patient.extension[0].valueOid"},
		"a UUID in capitals":             {patient(`"extension":[{"url":"urn:x","valueUuid":"urn:uuid:C757873D-EC9A-4326-A141-556F43239520"}]`), "016 Patient.extension[0].valueUuid"},
		"a fraction for an integer":      {`{` + obs + `,"valueInteger":1.0}`, "016 Observation.valueInteger"},
		"an integer of 33 bits":          {`{` + obs + `,"valueInteger":2147483648}`, "016 Observation.valueInteger"},
		"a count below zero":             {`{"resourceType":"Bundle","type":"searchset","total":-1}`, "016 Bundle.total"},
		"a positive zero":                {`{` + appt + `,"minutesDuration":0}`, "016 Appointment.minutesDuration"},
		"base64 of a bad letter":         {`{"resourceType":"Binary","contentType":"a/b","data":"YWJ*"}`, "016 Binary.data"},
		"base64 cut short":               {`{"resourceType":"Binary","contentType":"a/b","data":"YWJjZ"}`, "016 Binary.data"},
		"a control character":            {patient(`"name":[{"text":"a\u0001"}]`), "016 Patient.name[0].text"},
		"white space only":               {patient(`"name":[{"text":" \n"}]`), "016 Patient.name[0].text?"},
		"a narrative without div":        {patient(`"text":{"status":"generated","div":"<p>a</p>"}`), "016 Patient.text.div"},
		"two types of a choice":          {`{` + obs + `,"valueString":"a","valueInteger":1}`, "017 Observation.valueInteger"},
		"two types, one a sibling":       {patient(`"deceasedBoolean":true,"_deceasedDateTime":{"extension":[{"url":"urn:x","valueCode":"a"}]}`), "017 Patient.deceasedDateTime"},
		"a code outside":                 {patient(`"gender":"F"`), "018 Patient.gender"},
		"a code in capitals":             {`{"resourceType":"Task","status":"Requested","intent":"order"}`, "018 Task.status"},
		"a concept outside":              {`{"resourceType":"AllergyIntolerance","patient":{"display":"x"},"clinicalStatus":{"coding":[{"system":"urn:x","code":"active"}]}}`, "018 AllergyIntolerance.clinicalStatus"},
		"a concept as text only":         {`{"resourceType":"AllergyIntolerance","patient":{"display":"x"},"clinicalStatus":{"text":"active"}}`, "018 AllergyIntolerance.clinicalStatus"},
		"an empty text":                  {patient(`"name":[{"family":""}]`), "019 Patient.name[0].family"},
		"an empty list":                  {patient(`"name":[]`), "019 Patient.name"},
		"an empty object":                {patient(`"name":[{}]`), "019 Patient.name[0]"},
		"a contained id that is absent":  {`{` + task + `,"for":{"reference":"#p"}}`, "020 Task.for"},
		"a relative reference to nobody": {`{` + task + `,"for":{"reference":"Pasient/1"}}`, "020 Task.for"},
		"a reference to a wrong type":    {`{` + task + `,"requester":{"reference":"Location/1"}}`, "021 Task.requester?"},
		"a relative reference in one":    {`{` + task + `,"for":{"reference":"1234"}}`, "020 Task.for"},
		"a wrong type that is no type":   {`{` + task + `,"for":{"reference":"Patient/1"},"encounter":{"reference":"Encounter/1","type":"encounter"}}`, "021 Task.encounter"},
		"a wrong type, absolute":         {`{` + appt + `,"basedOn":[{"reference":"https://x.example/fhir/Task/1"}]}`, "021 Appointment.basedOn[0]?"},
		"a wrong type, by name":          {`{` + appt + `,"basedOn":[{"type":"Task","identifier":{"value":"1"}}]}`, "021 Appointment.basedOn[0]"},
		"a sibling of an object":         {patient(`"_name":[{"id":"a"}]`), "022 Patient.name"},
		"a sibling that is a text":       {patient(`"birthDate":"1970","_birthDate":"x"`), "022 Patient.birthDate"},
		"a sibling outside the list":     {patient(`"name":[{"given":["A"],"_given":{"id":"a"}}]`), "022 Patient.name[0].given"},
		"an unknown element in contained": {`{` + task + `,"contained":[{"resourceType":"Patient","id":"p","x":1}],"for":{"reference":"#p"}}`,
			"012 Task.contained[0].x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := faultsOf(t, row.in); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestInvalidBundles(t *testing.T) {
	const one, two = "urn:uuid:00000000-0000-4000-8000-000000000001", "urn:uuid:00000000-0000-4000-8000-000000000002"
	head := func(focus string) string {
		return `{"fullUrl":"` + one + `","resource":{"resourceType":"MessageHeader","eventUri":"urn:e","source":{"endpoint":"urn:x"},"focus":[{"reference":"` + focus + `"}]}}`
	}
	entry := func(url, members string) string { return `{"fullUrl":"` + url + `","resource":{` + members + `}}` }
	bundle := func(entries ...string) string {
		return `{"resourceType":"Bundle","id":"1","type":"message","entry":[` + strings.Join(entries, ",") + `]}`
	}
	for name, row := range map[string]struct{ in, want string }{
		"a good one":                      {bundle(head(two), entry(two, task)), ""},
		"no entry":                        {`{"resourceType":"Bundle","type":"message"}`, "032 Bundle"},
		"another resource first":          {bundle(entry(two, task)), "032 Bundle.entry[0]"},
		"a document without composition":  {`{"resourceType":"Bundle","type":"document","identifier":{"system":"urn:x","value":"1"},"timestamp":"2026-03-02T00:00:00Z","entry":[` + entry(two, task) + `]}`, "032 Bundle.entry[0]"},
		"a focus that isn't there":        {bundle(head(two)), "020 Bundle.entry[0].resource.focus[0]"},
		"a focus elsewhere":               {bundle(head("https://x.example/Task/1")), "034 Bundle.entry[0].resource.focus[0]?"},
		"a focus by type and id":          {bundle(head("Task/t1"), entry(two, `"id":"t1",`+task)), ""},
		"an entry without fullUrl":        {bundle(head(two), entry(two, task), `{"resource":{"resourceType":"Patient","active":true}}`), "035 Bundle.entry[2].fullUrl"},
		"a relative fullUrl":              {bundle(head("Task/1"), entry("Task/1", task)), "035 Bundle.entry[1].fullUrl?"},
		"a fullUrl twice":                 {bundle(head(two), entry(two, task), entry(two, `"resourceType":"Patient","active":true`)), "035 Bundle.entry[2].fullUrl"},
		"a UUID that is none":             {bundle(head("urn:uuid:1"), entry("urn:uuid:1", task)), "038 Bundle.entry[1].fullUrl"},
		"a fullUrl of another resource":   {bundle(head("https://x.example/Task/1"), entry("https://x.example/Task/1", `"id":"2",`+task)), "035 Bundle.entry[1].fullUrl"},
		"a fullUrl of another kind":       {bundle(head("https://x.example/tasks/1"), entry("https://x.example/tasks/1", `"id":"2",`+task)), ""},
		"a resource of a wrong type":      {bundle(head(two), entry(two, task+`,"for":{"reference":"urn:x:3"},"requester":{"reference":"urn:x:3"}`), entry("urn:x:3", `"resourceType":"Location","name":"x"`)), "021 Bundle.entry[1].resource.requester"},
		"a reference into a large Bundle": {bundle(append([]string{head(two), entry(two, task)}, many(entry)...)...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := faultsOf(t, row.in); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// many gives 40 entries that refer to one another.
func many(entry func(url, members string) string) (entries []string) {
	for i := range 40 {
		url := "https://x.example/fhir/Patient/" + itoa(i)
		entries = append(entries, entry(url, `"resourceType":"Patient","id":"`+itoa(i)+`","link":[{"type":"seealso","other":{"reference":"Patient/`+itoa((i+1)%40)+`"}}]`))
	}
	return entries
}

func TestFaultsAreBounded(t *testing.T) {
	in := `{"resourceType":"Patient","name":[` + strings.Repeat(`{"x":"aaaaaaaaaaaaaaaaaaaaaaaaa"},`, 1000) + `{"x":1}]}`
	tree, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(Validate(tree)); got != maxFaults {
		t.Errorf("got %d faults, want %d", got, maxFaults)
	}
}

// No text of a fault repeats what the resource holds.
func TestFaultsHoldNoValues(t *testing.T) {
	const secret = "salaisuus"
	in := `{"resourceType":"Patient","birthDate":"` + secret + `","gender":"` + secret + `","` + secret + ` x":1,"active":"` + secret + `",
		"id":"` + secret + `!","managingOrganization":{"reference":"` + secret + `/1"},"contact":[{"relationship":"` + secret + `"}],"contained":[{"resourceType":"` + secret + `"}]}`
	tree, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	fs := Validate(tree)
	if len(fs) < 8 || strings.Contains(fs.Error(), secret) {
		t.Errorf("%d faults:\n%v", len(fs), fs)
	}
}
