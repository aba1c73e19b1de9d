// Package journeys holds the messages that the demo sends. The texts stand in files as a person would read them; the
// people in them are invented.
package journeys

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/hoitosilta/silta/testfixtures/generate"
)

//go:embed referral.hl7
var referral string

// Referral is the demo's referral: a REF^I12 from Apotti to HUS's eye clinic, with a finding attached as PDF. run
// counts the demo's runs in one directory and gives each message an id of its own (its control id is
// DEMO-<run>-REF); at is when it is written.
func Referral(run int, at time.Time) []byte {
	pdf := generate.PDF([]string{"Silmänpohjakuvan lausunto", "", "Oikeassa silmässä verenvuotoja ja kovia eksudaatteja.", "Keksitty asiakirja, keksitty potilas."}, 0)
	text := strings.NewReplacer(
		"{time}", at.Format("20060102150405-0700"),
		"{date}", at.Format("20060102"),
		"{control}", fmt.Sprintf("DEMO-%d-REF", run),
		"{placer}", fmt.Sprintf("LAH-DEMO-%06d", run),
		"{pdf}", base64.StdEncoding.EncodeToString(pdf),
		"\n", "\r",
	).Replace(referral)
	return []byte(text)
}
