package sqlite_test

import (
	"strings"
	"testing"
)

// SQLite reads a page of the log in order, by the primary key. It reads no entry outside the
// page, and sorts nothing.
func TestLogIsReadInOrder(t *testing.T) {
	plan, err := fresh(t).LogPlan()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plan, "B-TREE") || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "PRIMARY KEY (rowid>?)") {
		t.Errorf("plan:\n%s", plan)
	}
}

// Every statement finds its records by an index, in the order of the index.
func TestRecordsAreFoundByIndex(t *testing.T) {
	plans, err := fresh(t).RecordPlans()
	if err != nil {
		t.Fatal(err)
	}
	for query, plan := range plans {
		if strings.Contains(plan, "B-TREE FOR ORDER") || strings.Contains(plan, "SCAN records") || strings.Contains(plan, "SCAN texts") || !strings.Contains(plan, "INDEX") && !strings.Contains(plan, "PRIMARY KEY (kind=?") {
			t.Errorf("%s:\n%s", query, plan)
		}
	}
}
