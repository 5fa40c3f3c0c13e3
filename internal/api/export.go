package api

import (
	"time"

	"github.com/counterfoil/counterfoil/audit"
)

// AuditColumns are the columns of security events as CSV.
var AuditColumns = []string{"id", "time", "action", "outcome", "subject", "by", "client", "session", "target", "address", "request", "reason", "detail"}

// AuditCells is e as CSV.
func AuditCells(e audit.Entry) []string {
	address := ""
	if e.Address.IsValid() {
		address = e.Address.String()
	}
	return []string{
		e.ID, e.Time.UTC().Format(time.RFC3339Nano), string(e.Action), string(e.Outcome), e.Subject, e.By, e.Client, e.Session,
		e.Target, address, e.Request, e.Reason, e.Detail,
	}
}
