package engine

// touch notes whom the transaction under way changes.
func (p *partition) touch(c *Changes) {
	if j := p.job; j != nil {
		for _, d := range c.PutPeople {
			if d.Workspace == j.workspace {
				j.touched.Add(d.Ordinal)
			}
		}
		for _, d := range c.DropPeople {
			if d.Workspace == j.workspace {
				j.touched.Add(d.Ordinal)
			}
		}
	}
	for _, d := range c.DropPeople { // pieces of their events go with them
		if t := p.tenants[d.Workspace]; t != nil {
			t.packed = 0
		}
	}
	if p.e.o.People == nil {
		return
	}
	if p.touched == nil {
		p.touched = map[int64][]uint32{}
	}
	for _, d := range c.PutPeople {
		p.touched[d.Workspace] = append(p.touched[d.Workspace], d.Ordinal)
	}
	for _, d := range c.DropPeople {
		p.touched[d.Workspace] = append(p.touched[d.Workspace], d.Ordinal)
	}
}

// tell passes on whom a committed transaction has changed. What became of one that failed is not sure: load says so.
func (p *partition) tell(committed bool) {
	if committed {
		for ws, people := range p.touched {
			p.e.o.People.Touch(ws, people)
		}
	}
	clear(p.touched)
}

// hold says that every change of these workspaces, or of all of the partition, is told from now on.
func (p *partition) hold(workspaces ...int64) {
	if p.e.o.People == nil {
		return
	}
	if len(workspaces) == 0 {
		for ws := range p.tenants {
			p.e.o.People.Hold(ws)
		}
	}
	for _, ws := range workspaces {
		p.e.o.People.Hold(ws)
	}
}

// release says that changes may happen elsewhere.
func (p *partition) release() {
	if p.e.o.People == nil {
		return
	}
	for ws := range p.tenants {
		p.e.o.People.Release(ws)
	}
}
