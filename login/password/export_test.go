package password

func init() {
	// The tests hash some hundred passwords; what a hash costs is not theirs to show.
	policy = params{m: 64, t: 1, p: 1}
}

// ProductionPolicy is what the program hashes with.
var ProductionPolicy = production
