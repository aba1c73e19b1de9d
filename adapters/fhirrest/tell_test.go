package fhirrest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// hospital and charity are two senders with contracts that differ.
var (
	hospital = Sender{Partner: "hospital", Title: "Malli Hospital", Token: "hospital-token", MaxBytes: 5000,
		Sends: []string{"response-accepted", "response-returned", "appointment"}, Gets: []string{"request", "update"}}
	charity = Sender{Partner: "charity", Token: "charity-token", Sends: []string{"contact"}, Gets: []string{"response-rejected"}}
)

func told(t *testing.T, change ...func(*Config)) *Door {
	t.Helper()
	c := Config{Senders: []Sender{hospital, charity}, Receiver: &desk{}, Hub: "v1.2.3", Now: func() time.Time { return today }}
	for _, change := range change {
		change(&c)
	}
	return door(t, c)
}

// get asks a door as the hospital, with changes to the request.
func get(d *Door, target string, changes ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "http://silta.example"+target, nil)
	r.Header.Set("Authorization", "Bearer hospital-token")
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result()
}

// tree reads a resource of a type that was answered with 200.
func tree(t *testing.T, response *http.Response, typ string) fhir.Node {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %d with %d bytes, %v", response.StatusCode, len(body), err)
	}
	parsed, err := fhir.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Root().Type(); got != typ {
		t.Fatalf("got a %s, want a %s", got, typ)
	}
	return parsed.Root()
}

// texts are the values at a place under each of several nodes.
func texts(nodes fhir.Node, names ...string) []string {
	var all []string
	for n := range nodes.Each() {
		for _, name := range names {
			n = n.Get(name)
		}
		all = append(all, n.Text())
	}
	return all
}

func TestAllThatIsToldIsValid(t *testing.T) {
	everything := Sender{Partner: "everybody", Token: "hospital-token", Sends: profiles.Events(), Gets: profiles.Events()}
	d := told(t, func(c *Config) { c.Senders = []Sender{everything} })
	pages := 0
	valid := func(response *http.Response, typ string) fhir.Node {
		root := tree(t, response, typ)
		parsed, err := fhir.Parse(root.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fhir.Validate(parsed) {
			if f.Rule == "dom-6" {
				continue // a narrative is good practice for people's sake, and nobody reads these but programs
			}
			t.Errorf("%s %s: %s", typ, root.Get("id").Text(), f.Text(""))
		}
		pages++
		return root
	}
	valid(get(d, "/fhir/metadata", header("Authorization", "")), "CapabilityStatement")
	valid(get(d, "/fhir/metadata?mode=normative"), "CapabilityStatement")
	valid(get(d, "/fhir/metadata?mode=terminology"), "TerminologyCapabilities")
	types := texts(valid(get(d, "/fhir/metadata"), "CapabilityStatement").Get("rest").At(0).Get("resource"), "type")
	valid(get(d, "/fhir/MessageDefinition?event=request"), "Bundle")
	valid(get(d, "/fhir/MessageDefinition?event=nothing"), "Bundle")
	for _, typ := range types {
		for _, id := range texts(tree(t, get(d, "/fhir/"+typ), "Bundle").Get("entry"), "resource", "id") {
			valid(get(d, "/fhir/"+typ+"/"+id), typ)
		}
	}
	if pages < 6+len(profiles.Events()) {
		t.Errorf("only %d resources were looked at", pages)
	}
}

func TestThePublicLearnsHowToComeInAndNothingElse(t *testing.T) {
	d := told(t)
	stranger := header("Authorization", "")
	response := get(d, "/fhir/metadata", stranger)
	root := tree(t, response, "CapabilityStatement")
	rest := root.Get("rest").At(0)
	if rest.Get("operation").At(0).Get("name").Text() != "process-message" || rest.Get("security").Get("service").At(0).Get("text").Text() != "Bearer token" {
		t.Error("a stranger doesn't learn how to come in")
	}
	for _, mode := range []string{"", "?mode=normative", "?mode=terminology"} {
		body, _ := io.ReadAll(get(d, "/fhir/metadata"+mode, stranger).Body)
		for _, secret := range []string{"v1.2.3", "hospital", "Malli", "charity", "MessageDefinition", "CodeSystem/event", "supportedMessage", "5000"} {
			if strings.Contains(string(body), secret) {
				t.Errorf("a stranger learns %q with %q", secret, mode)
			}
		}
	}
	for what, row := range map[string]struct {
		target string
		change func(*http.Request)
	}{
		"outside the base":        {"/metadata", stranger},
		"a wrong token":           {"/fhir/metadata", header("Authorization", "Bearer hospital")},
		"a definition":            {"/fhir/CodeSystem/event", stranger},
		"a search":                {"/fhir/MessageDefinition", stranger},
		"the operation":           {"/fhir/OperationDefinition/process-message", stranger},
		"metadata's own children": {"/fhir/metadata/x", stranger},
	} {
		if got := get(d, row.target, row.change); got.StatusCode != http.StatusUnauthorized || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d", what, got.StatusCode)
		}
	}
}

func TestEachSenderSeesItsOwnContract(t *testing.T) {
	d := told(t)
	for _, s := range []Sender{hospital, charity} {
		as := header("Authorization", "Bearer "+s.Token)
		root := tree(t, get(d, "/fhir/metadata", as), "CapabilityStatement")
		modes := map[string][]string{}
		for m := range root.Get("messaging").At(0).Get("supportedMessage").Each() {
			event, ours := strings.CutPrefix(m.Get("definition").Text(), profiles.Base+"/MessageDefinition/")
			if !ours {
				t.Errorf("%s isn't ours", m.Get("definition").Text())
			}
			modes[m.Get("mode").Text()] = append(modes[m.Get("mode").Text()], event)
		}
		if !slices.Equal(modes["receiver"], s.Sends) || !slices.Equal(modes["sender"], s.Gets) {
			t.Errorf("%s: %v", s.Partner, modes)
		}
		seen := texts(tree(t, get(d, "/fhir/MessageDefinition", as), "Bundle").Get("entry"), "resource", "id")
		want := slices.Sorted(slices.Values(slices.Concat(s.Sends, s.Gets)))
		if !slices.Equal(seen, want) {
			t.Errorf("%s sees the messages %v, want %v", s.Partner, seen, want)
		}
		for _, event := range profiles.Events() {
			status := get(d, "/fhir/MessageDefinition/"+event, as).StatusCode
			if (status == http.StatusOK) != slices.Contains(want, event) || status != http.StatusOK && status != http.StatusNotFound {
				t.Errorf("%s asks for %s and gets %d", s.Partner, event, status)
			}
		}
	}
}

func TestTheStatementTellsOfTheDoor(t *testing.T) {
	d := told(t, func(c *Config) { c.Timeouts.Read = 7 * time.Second })
	root := tree(t, get(d, "/fhir/metadata"), "CapabilityStatement")
	rest, messaging := root.Get("rest").At(0), root.Get("messaging").At(0)
	for what, got := range map[string][2]string{
		"status":         {root.Get("status").Text(), "active"},
		"date":           {root.Get("date").Text(), "2026-03-04T05:06:07Z"},
		"kind":           {root.Get("kind").Text(), "instance"},
		"software":       {root.Get("software").Get("name").Text() + " " + root.Get("software").Get("version").Text(), "Silta v1.2.3"},
		"FHIR":           {root.Get("fhirVersion").Text(), "4.0.1"},
		"formats":        {strings.Join(texts(root.Get("format")), " "), "json"},
		"url":            {root.Get("implementation").Get("url").Text(), "http://silta.example/fhir"},
		"whose":          {root.Get("implementation").Get("description").Text(), "Silta's FHIR door for Malli Hospital"},
		"operation":      {rest.Get("operation").At(0).Get("definition").Text(), profiles.URL(processMessage)},
		"endpoint":       {messaging.Get("endpoint").At(0).Get("address").Text(), "http://silta.example/fhir/$process-message"},
		"reliable cache": {messaging.Get("reliableCache").Text(), "20160"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %q, want %q", what, got[0], got[1])
		}
	}
	if manners := rest.Get("documentation").Text(); !strings.Contains(manners, "5000 bytes") || !strings.Contains(manners, "within 7s") {
		t.Errorf("the limits aren't told: %s", manners)
	}
	// What is listed can be read and found, by every parameter that is listed; what isn't, can't.
	listed := texts(rest.Get("resource"), "type")
	for r := range rest.Get("resource").Each() {
		typ := r.Get("type").Text()
		found := tree(t, get(d, "/fhir/"+typ), "Bundle")
		first := found.Get("entry").At(0)
		if full := first.Get("fullUrl").Text(); full != "http://silta.example/fhir/"+typ+"/"+first.Get("resource").Get("id").Text() {
			t.Errorf("%s isn't where it can be read", full)
		}
		tree(t, get(d, strings.TrimPrefix(first.Get("fullUrl").Text(), "http://silta.example")), typ)
		for _, name := range texts(r.Get("searchParam"), "name") {
			value := first.Get("resource").Get(strings.TrimPrefix(name, "_")).Text()
			if name == "event" {
				value = first.Get("resource").Get("eventCoding").Get("code").Text()
			}
			some := tree(t, get(d, "/fhir/"+typ+"?"+url.Values{name: {value}}.Encode()), "Bundle")
			none := tree(t, get(d, "/fhir/"+typ+"?"+name+"=nothing"), "Bundle")
			if some.Get("total").Text() == "0" || none.Get("total").Text() != "0" || none.Get("entry").Exists() {
				t.Errorf("%s by %s finds %s, and %s of nothing", typ, name, some.Get("total").Text(), none.Get("total").Text())
			}
		}
	}
	for _, typ := range []string{"Task", "Patient", "Subscription", "ValueSet", "CapabilityStatement"} {
		if status := get(d, "/fhir/"+typ).StatusCode; (status == http.StatusOK) != slices.Contains(listed, typ) {
			t.Errorf("%s: %d, and it is listed: %t", typ, status, slices.Contains(listed, typ))
		}
	}
	if len(listed) < 4 {
		t.Errorf("only %v are listed", listed)
	}
}

// What people read first says what it is, however deep it lies.
func TestResourcesBeginWithTheirType(t *testing.T) {
	d := told(t)
	for _, path := range []string{"/metadata", "/metadata?mode=terminology", "/OperationDefinition/process-message", "/MessageDefinition/request", "/MessageDefinition"} {
		body, _ := io.ReadAll(get(d, "/fhir"+path).Body)
		if !strings.HasPrefix(string(body), "{\n  \"resourceType\": ") || strings.Contains(string(body), `\u003`) {
			t.Errorf("%s begins with %.40q", path, body)
		}
	}
}

func TestModesOfTheStatement(t *testing.T) {
	d := told(t)
	whole := tree(t, get(d, "/fhir/metadata?mode=full"), "CapabilityStatement")
	normative := tree(t, get(d, "/fhir/metadata?mode=normative"), "CapabilityStatement")
	if !whole.Get("messaging").Exists() || normative.Get("messaging").Exists() || normative.Get("rest").At(0).Get("security").Exists() || !normative.Get("rest").Exists() {
		t.Error("normative isn't what R4 has as normative")
	}
	terminology := tree(t, get(d, "/fhir/metadata?mode=terminology"), "TerminologyCapabilities")
	systems := texts(terminology.Get("codeSystem"), "uri")
	if !slices.Contains(systems, profiles.URL(profiles.EventSystem)) {
		t.Errorf("the code systems are %v", systems)
	}
	refusedWith(t, get(d, "/fhir/metadata?mode=other"), 400, "invalid")
}

func refusedWith(t *testing.T, response *http.Response, status int, code string) {
	t.Helper()
	body, _ := io.ReadAll(response.Body)
	if got := issue(t, string(body)); response.StatusCode != status || got != code {
		t.Errorf("got %d %s, want %d %s", response.StatusCode, got, status, code)
	}
	if got := response.Header.Get("Content-Type"); got != "application/fhir+json; charset=utf-8" {
		t.Errorf("the refusal is %s", got)
	}
}

func TestMessageDefinitionsAreMadeOfTheCodeSystem(t *testing.T) {
	d := told(t, func(c *Config) { c.Senders[0].Sends = profiles.Events() })
	responses := []string{}
	for _, event := range profiles.Events() {
		if profiles.IsResponse(event) {
			responses = append(responses, profiles.URL(messageDefinition+event))
		}
	}
	for _, event := range profiles.Events() {
		m := tree(t, get(d, "/fhir/MessageDefinition/"+event), "MessageDefinition")
		coding := m.Get("eventCoding")
		if coding.Get("system").Text() != profiles.URL(profiles.EventSystem) || coding.Get("code").Text() != event || m.Get("eventUri").Exists() {
			t.Errorf("%s is of another event", event)
		}
		if got := m.Get("focus").At(0).Get("code").Text(); got != profiles.Focus(event) || m.Get("focus").Len() != 1 {
			t.Errorf("%s is about %s", event, got)
		}
		var allowed []string
		required := ""
		switch event {
		case profiles.Request, profiles.StatusQuery:
			allowed, required = responses, "always"
		case profiles.Update:
			allowed = responses
		}
		if profiles.Answers(event) {
			required = "never"
		}
		if got := texts(m.Get("allowedResponse"), "message"); !slices.Equal(got, allowed) || m.Get("responseRequired").Text() != required {
			t.Errorf("%s is answered by %v, %q", event, got, m.Get("responseRequired").Text())
		}
		if profile := m.Get("focus").At(0).Get("profile").Text(); !strings.HasPrefix(profile, profiles.Base) || tree(t, get(d, "/fhir/StructureDefinition?url="+profile), "Bundle").Get("total").Text() != "1" {
			t.Errorf("%s is about what the profile %q says, which isn't here", event, profile)
		}
		if whole := profiles.URL("/StructureDefinition/silta-message-" + event); !strings.Contains(m.Get("description").Text(), whole) {
			t.Errorf("%s doesn't name the profile of its Bundle", event)
		}
		for _, name := range []string{"title", "description", "date", "version", "category"} {
			if m.Get(name).Text() == "" {
				t.Errorf("%s has no %s", event, name)
			}
		}
	}
}

func TestDefinitionsAreFound(t *testing.T) {
	d := told(t)
	events := url.QueryEscape(profiles.URL(profiles.EventSystem))
	for query, want := range map[string]string{
		"/MessageDefinition?event=request":                                              "request",
		"/MessageDefinition?event=" + events + "%7Crequest":                             "request",
		"/MessageDefinition?event=" + events + "%7C":                                    "appointment request response-accepted response-returned update",
		"/MessageDefinition?event=http://example.org%7Crequest":                         "",
		"/MessageDefinition?event=request,update":                                       "request update",
		"/MessageDefinition?event=request,update&event=update":                          "update",
		"/MessageDefinition?event=cancel":                                               "",
		"/MessageDefinition?event=contact":                                              "",
		"/MessageDefinition?_id=update&event=request":                                   "",
		"/MessageDefinition?_id=update&colour=red":                                      "update",
		"/MessageDefinition?_id=update&_format=json":                                    "update",
		"/OperationDefinition?url=" + url.QueryEscape(profiles.URL(processMessage)):     "process-message",
		"/CodeSystem?url=" + events:                                                     "event",
		"/CodeSystem?url=" + events + "&version=9":                                      "",
		"/StructureDefinition?url=" + url.QueryEscape(profiles.URL(profiles.ControlID)): "control-id",
	} {
		b := tree(t, get(d, "/fhir"+query), "Bundle")
		if got := strings.Join(texts(b.Get("entry"), "resource", "id"), " "); got != want || b.Get("type").Text() != "searchset" {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
	self := tree(t, get(d, "/fhir/CodeSystem?colour=red&_id=event"), "Bundle").Get("link").At(0).Get("url").Text()
	if self != "http://silta.example/fhir/CodeSystem?_id=event" {
		t.Errorf("the search says that it was %s", self)
	}
	byPost := func(body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	if got := texts(tree(t, get(d, "/fhir/CodeSystem/_search", byPost("_id=event&_format=json")), "Bundle").Get("entry"), "resource", "id"); !slices.Equal(got, []string{"event"}) {
		t.Errorf("a search by POST finds %v", got)
	}
	refusedWith(t, get(d, "/fhir/CodeSystem/_search", byPost("_format=xml")), 406, "processing")
	refusedWith(t, get(d, "/fhir/CodeSystem/_search", byPost("_id="+strings.Repeat("x", maxForm))), 400, "invalid")
	refusedWith(t, get(d, "/fhir/CodeSystem/_search", byPost("_id=event"), header("Content-Type", "application/fhir+json")), 415, "processing")
	refusedWith(t, get(d, "/fhir/CodeSystem?url:below=x"), 400, "invalid")
	refusedWith(t, get(d, "/fhir/CodeSystem?colour=red", header("Prefer", "handling=strict")), 400, "invalid")
	refusedWith(t, get(d, "/fhir/CodeSystem?_id=%zz"), 400, "invalid")
}

func TestOwnDefinitionsAreRead(t *testing.T) {
	d := told(t)
	for _, name := range []string{"CodeSystem-event", "StructureDefinition-control-id"} {
		want, err := profiles.Read("definitions/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(get(d, "/fhir/"+strings.Replace(name, "-", "/", 1)).Body)
		if string(body) != string(want) {
			t.Errorf("%s isn't what the build holds", name)
		}
	}
	refusedWith(t, get(d, "/fhir/CodeSystem/nothing"), 404, "not-found")
	refusedWith(t, get(d, "/fhir/CodeSystem/event/_history"), 404, "not-found")
	refusedWith(t, get(d, "/fhir"), 404, "not-found")
	refusedWith(t, get(d, "/fhir/"), 404, "not-found")
}

func TestTheFormatIsNegotiated(t *testing.T) {
	d := told(t)
	accept := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Accept"] = values }
	}
	for _, row := range []struct {
		query, accept string
		status        int
	}{
		{"", "", 200},
		{"", "*/*", 200},
		{"", "application/json", 200},
		{"", "application/fhir+json", 200},
		{"", "application/fhir+json;fhirVersion=4.0", 200},
		{"", "application/fhir+xml;q=0.9, application/fhir+json;q=0.1", 200},
		{"", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200},
		{"", "application/fhir+xml, */*;q=0", 406},
		{"", "application/fhir+xml", 406},
		{"", "application/xml", 406},
		{"", "application/fhir+json;q=0", 406},
		{"", "*/*;q=0.5, application/*;q=0", 406},
		{"", "application/*;q=0, application/fhir+json", 200},
		{"", "application/fhir+json;fhirVersion=5.0", 406},
		{"", "nonsense", 406},
		{"_format=json", "application/fhir+xml", 200},
		{"_format=application/fhir%2Bjson", "", 200},
		{"_format=application/fhir+json", "", 200},
		{"_format=xml", "", 406},
		{"_format=application/fhir%2Bxml", "application/fhir+json", 406},
		{"_format=ttl", "", 406},
	} {
		for _, path := range []string{"/fhir/metadata", "/fhir/CodeSystem", "/fhir/CodeSystem/event"} {
			var response *http.Response
			if row.accept == "" {
				response = get(d, path+"?"+row.query)
			} else {
				response = get(d, path+"?"+row.query, accept(row.accept))
			}
			if response.StatusCode != row.status || response.Header.Get("Content-Type") != "application/fhir+json; charset=utf-8" {
				t.Errorf("%s %s %s: %d, as %s", path, row.query, row.accept, response.StatusCode, response.Header.Get("Content-Type"))
			}
		}
	}
	if status := get(d, "/fhir/metadata", accept("application/fhir+xml", "application/fhir+json")).StatusCode; status != 200 {
		t.Errorf("two Accept headers: %d", status)
	}
}

func TestOtherMethodsAreTold(t *testing.T) {
	d := told(t)
	for _, path := range []string{"/fhir/metadata", "/fhir/CodeSystem", "/fhir/CodeSystem/event"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			response := get(d, path, func(r *http.Request) { r.Method = method })
			refusedWith(t, response, 405, "processing")
			if got := response.Header.Get("Allow"); got != "GET, HEAD" {
				t.Errorf("%s %s allows %q", method, path, got)
			}
		}
	}
	response := get(d, "/fhir/CodeSystem/_search")
	if response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
		t.Errorf("a search by GET at the address of POST: %d", response.StatusCode)
	}
	if response := get(d, path); response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
		t.Errorf("reading the operation: %d", response.StatusCode)
	}
}

// Over a connection, HEAD is answered without a body, and what a client has is not sent again.
func TestACopyIsAskedAfter(t *testing.T) {
	address, _ := serve(t, told(t))
	for _, path := range []string{"/fhir/metadata", "/fhir/CodeSystem?_id=event", "/fhir/MessageDefinition/request"} {
		as := func(method, tag string) func(*http.Request) {
			return func(r *http.Request) {
				at, _ := url.Parse(path)
				r.Method, r.URL.Path, r.URL.RawQuery, r.Body, r.ContentLength = method, at.Path, at.RawQuery, http.NoBody, 0
				header("Authorization", "Bearer hospital-token")(r)
				header("Content-Type", "")(r)
				header("If-None-Match", tag)(r)
			}
		}
		status, h, body := ask(t, address, "", as("GET", ""))
		tag := h.Get("ETag")
		if status != 200 || tag == "" || body == "" || h.Get("Cache-Control") != "private, no-cache" || !strings.Contains(h.Get("Vary"), "Authorization") {
			t.Errorf("%s: %d with the tag %q", path, status, tag)
		}
		if status, h, body := ask(t, address, "", as("HEAD", "")); status != 200 || body != "" || h.Get("ETag") != tag || h.Get("Content-Length") == "" {
			t.Errorf("%s by HEAD: %d, %d bytes", path, status, len(body))
		}
		if status, _, body := ask(t, address, "", as("GET", tag)); status != 304 || body != "" {
			t.Errorf("%s again: %d, %d bytes", path, status, len(body))
		}
		if status, _, _ := ask(t, address, "", as("GET", `W/"other"`)); status != 200 {
			t.Errorf("%s after a change: %d", path, status)
		}
	}
}

// The date is when the contract came to hold as it is told, whatever else is reloaded.
func TestTheDateIsTheContracts(t *testing.T) {
	now := today
	d := told(t, func(c *Config) { c.Now = func() time.Time { return now } })
	date := func() string { return tree(t, get(d, "/fhir/metadata"), "CapabilityStatement").Get("date").Text() }
	first := date()
	now = now.Add(time.Hour)
	changed := charity
	changed.Gets = nil
	if err := d.Admit([]Sender{hospital, changed}); err != nil || date() != first {
		t.Errorf("another's contract changes the date to %s: %v", date(), err)
	}
	changed = hospital
	changed.Sends = changed.Sends[1:]
	if err := d.Admit([]Sender{changed}); err != nil || date() != "2026-03-04T06:06:07Z" {
		t.Errorf("a new contract has the date %s: %v", date(), err)
	}
}

func TestTheAddressIsTheConfiguredOne(t *testing.T) {
	d := told(t, func(c *Config) { c.URL = "https://silta.example.org/fhir/" })
	root := tree(t, get(d, "/fhir/metadata"), "CapabilityStatement")
	if got := root.Get("implementation").Get("url").Text(); got != "https://silta.example.org/fhir" {
		t.Errorf("the address is %s", got)
	}
}

func TestASenderIsReadFromTheContracts(t *testing.T) {
	read := func(id, text string) *contracts.Partner {
		p, err := contracts.ReadPartner(id+".yaml", []byte("silta: partner/v1\nid: "+id+"\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const fhirDoor = "dialect: {format: fhir}\ndoor: {fhir: {tokenFile: x, maxBytes: 77}}\n"
	const courier = "courier: {fhir: {url: \"http://127.0.0.1:1/fhir\"}}\n"
	all := []*contracts.Partner{
		read("city", "dialect: {format: hl7v2, version: 2.5.1, names: {application: A, ourApplication: B}}\ndoor: {mllp: {listen: \"127.0.0.1:0\"}}\ncourier: {mllp: {to: \"127.0.0.1:1\"}}\n"+
			"accepts: {types: [REF^I12, REF^I14]}\nin: [{type: \"REF^*\", map: ref-i12}]\nroutes: [{events: [request, update, cancel], to: [hospital]}]\n"),
		read("hospital", fhirDoor+courier+"accepts: {types: [\"response-*\", feedback]}\n"),
		read("charity", fhirDoor+courier+"accepts: {types: [contact, request]}\nroutes: [{events: [request], to: [hospital]}, {events: [contact], to: [city]}]\n"),
		read("silent", fhirDoor+"accepts: {types: [request]}\nroutes: [{events: [request], to: [hospital]}]\n"),
		read("open", fhirDoor),
	}
	for i, want := range []struct{ sends, gets string }{
		1: {"response-accepted response-returned response-rejected response-transferred response-information-requested feedback", "request cancel"},
		2: {"request contact", "response-accepted response-returned response-rejected response-transferred response-information-requested feedback"},
		3: {"request", ""},
		4: {strings.Join(profiles.Events(), " "), ""},
	} {
		if i == 0 {
			continue
		}
		s := NewSender(all[i], all, "token")
		if got := strings.Join(s.Sends, " "); got != want.sends || s.MaxBytes != 77 || s.Token != "token" {
			t.Errorf("%s sends %s, up to %d bytes", s.Partner, got, s.MaxBytes)
		}
		if got := strings.Join(s.Gets, " "); got != want.gets {
			t.Errorf("%s gets %s", s.Partner, got)
		}
	}
}
