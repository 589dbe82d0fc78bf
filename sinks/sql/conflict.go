package sqlsink

// onConflict gives what becomes of a row that is there, as PostgreSQL and SQLite have it. The table is
// called penstock_t in the statement.
func onConflict(s *Settings, names []string) string {
	text := " ON CONFLICT (" + quoted(`"`, ", ", s.Key...) + ") DO "
	updated := s.updated(names)
	if s.Mode == "ignore" || len(updated) == 0 {
		return text + "NOTHING"
	}
	for i, name := range updated {
		sep := "UPDATE SET "
		if i > 0 {
			sep = ", "
		}
		name = quoted(`"`, "", name)
		text += sep + name + " = EXCLUDED." + name
	}
	if s.Newer != "" {
		name := quoted(`"`, "", s.Newer)
		text += " WHERE penstock_t." + name + " IS NULL OR EXCLUDED." + name + " >= penstock_t." + name
	}
	return text
}
