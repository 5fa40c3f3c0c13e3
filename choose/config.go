package choose

import (
	"fmt"
	"slices"
	"strings"
)

// Settings are the settings of "counterfoil serve" that the advice sets, by name.
func (a *Advice) Settings() map[string]string {
	all := make(map[string]string)
	for _, d := range a.Decisions {
		for name, value := range d.rule.Set {
			all[name] = value
		}
	}
	return all
}

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
		if len(d.rule.Set) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n# %s: %s.\n", d.Title, d.Choice)
		for _, name := range sorted(d.rule.Set) {
			fmt.Fprintf(&b, "%s: %s\n", name, d.rule.Set[name])
		}
	}
	b.WriteString("\n# Once it runs, with your own names and origins:\n#\n")
	for _, c := range a.Commands() {
		fmt.Fprintf(&b, "#   %s\n", c)
	}
	return b.String()
}

func sorted(set map[string]string) (names []string) {
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
