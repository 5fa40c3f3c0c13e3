package server

import (
	"fmt"
	"html/template"
	"math"
	"strconv"

	"github.com/counterfoil/counterfoil/mail"
)

// colour is one of sRGB.
type colour [3]float64 // 0 to 255 each

func parseColour(text string) (c colour, err error) {
	n, err := strconv.ParseUint(text[min(1, len(text)):], 16, 32)
	if err != nil || len(text) != 7 || text[0] != '#' {
		return c, fmt.Errorf("%q is no colour: write it as #rrggbb", text)
	}
	return colour{float64(n >> 16), float64(n >> 8 & 255), float64(n & 255)}, nil
}

func (c colour) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0])), int(math.Round(c[1])), int(math.Round(c[2])))
}

// luminance is how light c is (WCAG 2.2, "relative luminance").
func (c colour) luminance() float64 {
	linear := func(v float64) float64 {
		if v /= 255; v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast of two colours (WCAG 2.2, "contrast ratio").
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// grounds are what text of the accent stands on, as style.css has them: the page, the card and the
// field under the pointer, light and then dark.
var grounds = [2][]colour{
	{{0xf4, 0xf5, 0xf3}, {0xff, 0xff, 0xff}, {0xeb, 0xed, 0xe9}},
	{{0x10, 0x13, 0x16}, {0x19, 0x1d, 0x21}, {0x24, 0x29, 0x2e}},
}

var black, white = colour{0x0e, 0x11, 0x14}, colour{255, 255, 255}

// readable is WCAG 2.2 1.4.3 (AA), with a little to spare for rounding.
const readable = 4.6

// onGrounds returns accent, or the colour nearest to it on the way to an end (black or white) that
// can be read on all grounds.
func onGrounds(accent, end colour, grounds []colour) colour {
	for step := range 101 {
		c, least := colour{}, math.Inf(1)
		for i := range c {
			c[i] = math.Round(accent[i] + (end[i]-accent[i])*float64(step)/100)
		}
		for _, g := range grounds {
			least = min(least, contrast(c, g))
		}
		if least >= readable {
			return c
		}
	}
	return end
}

// textOn returns black or white, which of them is easier to read on c.
func textOn(c colour) colour {
	if contrast(c, white) >= contrast(c, black) {
		return white
	}
	return black
}

// CheckAccent says whether text may be Brand.Accent: any colour. On light pages it is darkened, and
// on dark ones made lighter, as far as it takes to be read.
func CheckAccent(text string) error {
	_, err := parseColour(text)
	return err
}

// accentStyle is the end of the style sheet: the accent for light and for dark pages, and the text on it.
func accentStyle(text string) string {
	c, err := parseColour(text)
	if err != nil {
		return ""
	}
	light, dark := onGrounds(c, black, grounds[0]), onGrounds(c, white, grounds[1])
	return fmt.Sprintf(":root { --accent: %s; --on-accent: %s; }\n@media (prefers-color-scheme: dark) { :root { --accent: %s; --on-accent: %s; } }\n",
		light, textOn(light), dark, textOn(dark))
}

// mail is b as mails show it: on light ground, because few mail programs change colours as pages do.
func (b Brand) mail() mail.Brand {
	out := mail.Brand{Name: b.Name}
	if c, err := parseColour(b.Accent); err == nil {
		light := onGrounds(c, black, grounds[0])
		out.Accent, out.OnAccent = template.CSS(light.String()), template.CSS(textOn(light).String())
	}
	return out
}
