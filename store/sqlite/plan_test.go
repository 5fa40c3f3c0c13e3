package sqlite_test

import (
	"strings"
	"testing"
)

// A page of the log is read in order from its place: no entry that is not on the
// page is looked at, and nothing is sorted.
func TestLogIsReadInOrder(t *testing.T) {
	plan, err := fresh(t).LogPlan()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plan, "B-TREE") || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "PRIMARY KEY (rowid>?)") {
		t.Errorf("plan:\n%s", plan)
	}
}

// Records are found by an index, in its order.
func TestRecordsAreFoundByIndex(t *testing.T) {
	plans, err := fresh(t).RecordPlans()
	if err != nil {
		t.Fatal(err)
	}
	for query, plan := range plans {
		if strings.Contains(plan, "B-TREE") || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "INDEX") {
			t.Errorf("%s:\n%s", query, plan)
		}
	}
}
