package choose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Commands are typed once the server runs, in this order.
func (a *Advice) Commands() (all []string) {
	for _, d := range a.Decisions {
		for _, c := range d.rule.Commands {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

// Config is a configuration file of "counterfoil serve". Everything that it sets is explained there.
func (a *Advice) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Configuration of counterfoil serve, written by
#   counterfoil choose %s
#
# Start it with: counterfoil serve --config FILE

# In production, the https URL that browsers and services use:
#issuer: https://auth.example.com
#production: true
`, a.Answers.Flags())
	for _, d := range a.Decisions {
		if d.Topic == "need" && !a.Needed {
			fmt.Fprintf(&b, "\n# %s %s\n# These settings are for those who take it all the same.\n", d.Title, d.Choice)
		}
		if len(d.rule.Set) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n# %s: %s.\n", d.Title, d.Choice)
		for _, name := range slices.Sorted(maps.Keys(d.rule.Set)) {
			fmt.Fprintf(&b, "%s: %s\n", name, d.rule.Set[name])
		}
	}
	b.WriteString("\n# Once it runs, with your own names and origins:\n#\n")
	for _, c := range a.Commands() {
		fmt.Fprintf(&b, "#   %s\n", c)
	}
	return b.String()
}
