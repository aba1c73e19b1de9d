package custody

import (
	"testing"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// littlePatience is how long a hasty courier waits for an answer.
const littlePatience = 300 * time.Millisecond

// nowhere is a host name that no resolver is asked about, because it can't be one.
const nowhere = "nowhere..example"

// overMLLP takes messages to a v2 partner.
var overMLLP = transport{speaks: speaksMLLP, contract: labMLLP, couriers: func(t *testing.T, e edge, p *peer) (courier, hasty hub.Courier) {
	change := func(c *contracts.MLLPCourier) {
		if e.secured != nil {
			c.TLS = &contracts.TLSCourier{CAFile: theAuthority.file}
		}
		if e.change != nil {
			e.change(c)
		}
	}
	if e.hasty {
		hasty = mllpCourier(t, p.address, func(c *contracts.MLLPCourier) { change(c); c.Answer, c.Write = littlePatience, littlePatience })
	}
	return mllpCourier(t, either(e.address, p.address), change), hasty
}}

func TestMLLPEdges(t *testing.T) {
	t.Parallel()
	application := func(c *contracts.MLLPCourier) { c.Acknowledgement = contracts.AckApplication }
	release2 := func(c *contracts.MLLPCourier) { c.Release = 2 }
	other := func(text func(told) string) func(told) string {
		return func(told) string { return text(told{id: "ANOTHER"}) }
	}
	runEdges(t, overMLLP, []edge{
		{name: "AA"},
		{name: "AE", script: []act{says(acks("AE", "101"))}},
		{name: "AR", script: []act{says(acks("AR", "200"))}},
		{name: "AR-205-first", script: []act{says(acks("AR", "205"))}},
		{name: "AR-205-after-unknown", script: []act{hangUp, says(acks("AR", "205"))}},
		{name: "AR-205-after-refused-connection", away: true, script: []act{says(acks("AR", "205"))}, mend: func(p *peer) { p.listen("") }},
		{name: "AE-205-after-unknown", script: []act{hangUp, says(acks("AE", "205"))}},
		{name: "AE-after-unknown", script: []act{hangUp, says(acks("AE", "101"))}},
		{name: "acknowledgement-lost", script: []act{hangUp}},
		{name: "acknowledgement-cut", script: []act{halfOf(acks("AA"), hangUp)}},
		{name: "acknowledgement-missing", hasty: true, script: []act{silent}},
		{name: "acknowledgement-late", hasty: true, script: []act{late(acks("AA"))}},
		{name: "acknowledgement-late-after-next", hasty: true, script: []act{late(acks("AA")), says(func(m told) string { return acks("AA")(m) + acks("AA")(m) })}},
		{name: "acknowledgement-drips", script: []act{drips(acks("AA"))}},
		{name: "acknowledgement-stalls", hasty: true, script: []act{halfOf(acks("AA"), silent)}},
		{name: "acknowledgement-of-another", script: []act{says(other(acks("AA")))}},
		{name: "acknowledgement-twice", script: []act{says(func(m told) string { return acks("AA")(m) + acks("AA")(m) })}},
		{name: "acknowledgement-before-again", before: 1, change: func(c *contracts.MLLPCourier) { c.Connections = 1 },
			script: []act{{do: func(x exchange) bool { return speaksMLLP.take.do(x) }}, says(other(acks("AA")))}},
		{name: "nonsense", script: []act{says(func(told) string { return framed("hello") })}},
		{name: "nonsense-without-frame", script: []act{{do: func(x exchange) bool {
			says(func(told) string { return "HTTP/1.1 400 Bad Request\r\n\r\n" }).do(x)
			return false
		}}}},
		{name: "acknowledgement-without-code", script: []act{says(acks(""))}},
		{name: "message-instead", script: []act{says(func(m told) string { return framed(string(m.body)) })}},
		{name: "CA-unasked-then-AA", script: []act{says(func(m told) string { return acks("CA")(m) + acks("AA")(m) })}},
		{name: "CA-unasked-alone", hasty: true, script: []act{halfOf(func(m told) string { return acks("CA")(m) + acks("CA")(m) }, silent)}},
		{name: "CA", mapping: "wire-accept", script: []act{says(acks("CA"))}},
		{name: "CE", mapping: "wire-accept", script: []act{says(acks("CE", "101"))}},
		{name: "CR", mapping: "wire-accept", script: []act{says(acks("CR", "200"))}},
		{name: "CR-205-after-unknown", mapping: "wire-accept", script: []act{hangUp, says(acks("CR", "205"))}},
		{name: "application-AA", mapping: "wire-both", change: application, script: []act{says(func(m told) string { return acks("CA")(m) + acks("AA")(m) })}},
		{name: "application-AE", mapping: "wire-both", change: application, script: []act{says(func(m told) string { return acks("CA")(m) + acks("AE", "101")(m) })}},
		{name: "application-missing", mapping: "wire-both", change: application, hasty: true, script: []act{halfOf(func(m told) string { return acks("CA")(m) + acks("CA")(m) }, silent), says(func(m told) string { return acks("CA")(m) + acks("AA")(m) })}},
		{name: "release-2-NAK", change: release2, script: []act{says(func(told) string { return framed("\x15") }), says(func(m told) string { return framed("\x06") + acks("AA")(m) })}},
		{name: "connection-refused", away: true, mend: func(p *peer) { p.listen("") }},
		{name: "reset-in-the-message", script: []act{midway}},
		{name: "reset-in-the-answer", script: []act{reset}},
		{name: "message-not-read", hasty: true, big: 5 << 20, script: []act{deaf}},
		{name: "certificate-expired", secured: expired(), mend: func(p *peer) { p.secure(mended()) }},
		{name: "certificate-of-another", secured: misnamed(), mend: func(p *peer) { p.secure(mended()) }},
		{name: "TLS-silent", hasty: true, retry: slow, change: func(c *contracts.MLLPCourier) {
			c.TLS, c.Connect = &contracts.TLSCourier{CAFile: theAuthority.file}, littlePatience
		}, script: []act{mute}},
		{name: "name-unknown", address: nowhere + ":2575", retry: slow},
	})
}

// overFHIR takes messages to a FHIR partner.
var overFHIR = transport{speaks: speaksFHIR, contract: labFHIR, couriers: func(t *testing.T, e edge, p *peer) (courier, hasty hub.Courier) {
	url := "http://" + either(e.address, p.address) + "/fhir"
	if e.secured != nil || e.name == "TLS-silent" {
		url = "https://" + p.address + "/fhir"
	}
	if e.hasty {
		hasty = fhirCourier(t, url, littlePatience)
	}
	return fhirCourier(t, url, time.Minute), hasty
}}

func TestFHIREdges(t *testing.T) {
	t.Parallel()
	in120s := "Retry-After: 120"
	runEdges(t, overFHIR, []edge{
		{name: "200"},
		{name: "200-empty", script: []act{says(status(200, "", ""))}},
		{name: "200-error", script: []act{says(status(200, "", outcomeOf("error", "invalid")))}},
		{name: "200-fatal", script: []act{says(status(200, "", outcomeOf("fatal", "exception")))}},
		{name: "200-garbage", script: []act{says(status(200, "", "<html>"))}},
		{name: "200-cut", script: []act{halfOf(status(200, "", allOK), hangUp)}},
		{name: "301", script: []act{says(status(301, "Location: http://127.0.0.1:1/", ""))}},
		{name: "400", script: []act{says(status(400, "", outcomeOf("error", "structure")))}},
		{name: "401", script: []act{says(status(401, "", ""))}},
		{name: "403", script: []act{says(status(403, "", ""))}},
		{name: "404", script: []act{says(status(404, "", ""))}},
		{name: "408", script: []act{says(status(408, "", ""))}},
		{name: "409-duplicate", script: []act{says(status(409, "", outcomeOf("error", "duplicate")))}},
		{name: "409-conflict", script: []act{says(status(409, "", outcomeOf("error", "conflict")))}},
		{name: "409-empty", script: []act{says(status(409, "", ""))}},
		{name: "409-after-unknown", script: []act{hangUp, says(status(409, "", ""))}},
		{name: "409-conflict-after-unknown", script: []act{hangUp, says(status(409, "", outcomeOf("error", "conflict")))}},
		{name: "409-after-429", script: []act{says(status(429, "", "")), says(status(409, "", ""))}},
		{name: "409-after-500", script: []act{says(status(500, "", "")), says(status(409, "", ""))}},
		{name: "410", script: []act{says(status(410, "", ""))}},
		{name: "413", script: []act{says(status(413, "", ""))}},
		{name: "422", script: []act{says(status(422, "", outcomeOf("error", "required")))}},
		{name: "422-after-unknown", script: []act{hangUp, says(status(422, "", ""))}},
		{name: "429", script: []act{says(status(429, "", ""))}},
		{name: "429-seconds", script: []act{says(status(429, in120s, ""))}},
		{name: "429-date", script: []act{says(status(429, "Retry-After: "+time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), ""))}},
		{name: "500", script: []act{says(status(500, "", outcomeOf("fatal", "exception")))}},
		{name: "502", script: []act{says(status(502, "", "<html>"))}},
		{name: "503-seconds", script: []act{says(status(503, in120s, ""))}},
		{name: "504", script: []act{says(status(504, "", ""))}},
		{name: "answer-lost", script: []act{hangUp}},
		{name: "answer-missing", hasty: true, script: []act{silent}},
		{name: "answer-late", hasty: true, script: []act{late(status(200, "", allOK))}},
		{name: "answer-drips", script: []act{drips(status(200, "", allOK))}},
		{name: "answer-stalls", hasty: true, script: []act{halfOf(status(200, "", allOK), silent)}},
		{name: "answer-twice", script: []act{says(func(m told) string { return status(200, "", allOK)(m) + status(200, "", allOK)(m) })}},
		{name: "nonsense", script: []act{{do: func(x exchange) bool { says(func(told) string { return framed("hello") }).do(x); return false }}}},
		{name: "connection-refused", away: true, mend: func(p *peer) { p.listen("") }},
		{name: "reset-in-the-request", script: []act{midway}},
		{name: "reset-in-the-answer", script: []act{{do: func(x exchange) bool { return halfOf(status(200, "", allOK), reset).do(x) }}}},
		{name: "request-not-read", hasty: true, big: 5 << 20, script: []act{deaf}},
		{name: "certificate-expired", secured: expired(), mend: func(p *peer) { p.secure(mended()) }},
		{name: "certificate-of-another", secured: misnamed(), mend: func(p *peer) { p.secure(mended()) }},
		{name: "TLS-silent", hasty: true, retry: slow, script: []act{mute}},
		{name: "name-unknown", address: nowhere, retry: slow},
	})
}
