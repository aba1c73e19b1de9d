package generate

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Everybody here is invented.
var (
	familyNames = []string{"Koivuniemi-Ström", "Mäkelä", "Yläkorpi", "Öhman", "Lehtovaara", "Hägglund", "Ruokoniemi",
		"Pöysti", "Sjöberg", "Äijälä", "Västäräkki", "Lindén", "Hämäläinen", "Törnqvist", "Kärkäs", "Åkerlund"}
	women = []string{"Åsa", "Päivi", "Aino", "Kyllikki", "Märta", "Säde", "Hilja", "Birgitta", "Päivä", "Tyyne"}
	men   = []string{"Väinö", "Pekka", "Öykkö", "Håkan", "Yrjö", "Eero", "Björn", "Jyri", "Kalevi", "Mårten"}

	streets = []string{"Esimerkkitie", "Mallikatu", "Keksittypolku", "Näytekuja", "Kokeiluraitti"}
	places  = []string{"Helsinki", "Vantaa", "Kerava", "Oulu", "Akaa"}

	// The receiving units are no real ones; their numbers stand below the invented organisation's arc.
	units = []string{"Silmätautien poliklinikka", "Sisätautien poliklinikka", "Ihotautien poliklinikka", "Keuhkosairauksien poliklinikka"}

	reasons = []string{"Näkökentän puutos, selvittely", "Verensokerin hoidon arvio", "Pitkittynyt yskä", "Silmänpohjamuutokset, hoitoarvio",
		"Työkyvyn arvio", "Epäselvä kuumeilu"}
	notes = []string{"Potilas toivoo tulkin palvelua ruotsiksi.", "Oireet alkaneet keväällä, hitaasti pahentuneet.",
		"Lääkitys ennallaan; ei tiedossa olevia lääkeaineallergioita.", "Pyydän arviota ja hoito-ohjetta lähettävälle yksikölle."}
	// The ICD-10 codes that the project's sources confirm in the Finnish edition.
	diagnoses = []string{"H36.03", "E11.3"}
)

// The invented organisations' OIDs: Apotti's side and HUS's side, under business ids that nobody has.
const (
	ReferrerOID = "1.2.246.10.99999991"
	ReceiverOID = "1.2.246.10.99999992"
)

// hetuRoot is the assigning authority of the henkilötunnus, icd10 the Finnish ICD-10.
const (
	hetuRoot = "1.2.246.21"
	icd10    = "1.2.246.537.6.1"
)

const hetuChecks = "0123456789ABCDEFHJKLMNPRSTUVWXY"

// Hetu gives a henkilötunnus of the 900 series, which no person has: n (0 to 99) makes the individual number 900+n,
// odd for men. The check character is the remainder by 31 of the nine digits.
func Hetu(born time.Time, n int) string {
	sign := "-"
	if born.Year() >= 2000 {
		sign = "A"
	}
	individual := 900 + n%100
	digits := (born.Day()*10000+int(born.Month())*100+born.Year()%100)*1000 + individual
	return fmt.Sprintf("%s%s%03d%c", born.Format("020106"), sign, individual, hetuChecks[digits%31])
}

// person is somebody invented.
type person struct {
	family, given, second string
	woman                 bool
	born                  time.Time
	hetu                  string
	street, place, phone  string
}

func invent(r *rand.Rand) person {
	p := person{family: pick(r, familyNames), woman: r.IntN(2) == 0, place: pick(r, places)}
	names := men
	if p.woman {
		names = women
	}
	p.given, p.second = pick(r, names), pick(r, names)
	p.born = time.Date(1930+r.IntN(90), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	individual := 2 * r.IntN(50)
	if !p.woman {
		individual++
	}
	p.hetu = Hetu(p.born, individual)
	p.street = fmt.Sprintf("%s %d %c %d", pick(r, streets), 1+r.IntN(90), 'A'+r.IntN(4), 1+r.IntN(60))
	p.phone = fmt.Sprintf("+358 40 000 %04d", r.IntN(10000))
	return p
}

func (p person) sex() string {
	if p.woman {
		return "F"
	}
	return "M"
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
