# Wells, implants, diffusion, poly and contacts.

def well_tiles
  tile("nwell.1") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    sheet.box("nwell", 3, 1, 6, 1.84 - (bad ? STEP : 0))
  end
  tile("nwell.2a") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    sheet.well(4.27 - (bad ? STEP : 0), 0, 7.5, 3)
  end
  tile("nwell.4") { |sheet, bad| bad ? sheet.box("nwell", 0, 0, 3, 3) : sheet.well(0, 0, 3, 3) }
  [["hvtp", "hvtp", 0.38], ["nsdm", "nsd", 0.38], ["psdm", "psd", 0.38], ["npc", "npc", 0.27]].each do |layer, prefix, least|
    tile("#{prefix}.1") { |sheet, bad| sheet.box(layer, 0, 0, least - (bad ? STEP : 0), 2) }
    tile("#{prefix}.2") do |sheet, bad|
      sheet.box(layer, 0, 0, 1, 2)
      sheet.box(layer, 1 + least - (bad ? STEP : 0), 0, 3, 2)
    end
  end
  tile("nsd.8") do |sheet, bad|
    sheet.box("nsdm", 0, 0, 1, 2)
    sheet.box("psdm", 1 - (bad ? STEP : 0), 0, 2, 2)
  end
  tile("nsd.9") do |sheet, bad|
    sheet.tap("psdm", -5, 0)
    sheet.box("diff", 0, 0, 1, 2)
    sheet.box("nsdm", -0.3, -0.3, bad ? 1 - STEP : 1, 2.3)
  end
end

def diffusion_tiles
  tile("difftap.1") do |sheet, bad|
    n_diffusion(sheet, 0, 0, 0.15 - (bad ? STEP : 0), 2)
  end
  tile("difftap.3") do |sheet, bad|
    n_diffusion(sheet, 0, 0, 1, 2)
    n_diffusion(sheet, 1.27 - (bad ? STEP : 0), 0, 2.5, 2)
  end
  tile("difftap.3") do |sheet, bad|
    sheet.tap("psdm", 0, 0)
    sheet.tap("psdm", 0.68 - (bad ? STEP : 0), 0)
  end
  # A tap may abut its diffusion; apart, the two need room.
  tile("difftap.3") do |sheet, bad|
    sheet.tap("psdm", -0.68 + (bad ? STEP : 0), 0)
    sheet.box("diff", 0, 0, 1, 2)
    sheet.box("nsdm", -0.05, -0.3, 1.3, 2.3)
  end
  n_well_distances
  p_well_distances
end

# Diffusion and taps of the other doping than their well's, or too near its edge.
def n_well_distances
  [0.18 - STEP, -1].each do |enclosure|
    tile("difftap.8", *(enclosure < 0 ? ["LU.3"] : [])) do |sheet, bad|
      sheet.well(0, 0, 4, 4)
      sheet.box("diff", 2, bad ? enclosure : 0.18, 3, 1.5)
      sheet.box("psdm", 1.8, -1.2, 3.2, 1.7)
    end
  end
  tile("difftap.10") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    sheet.tap("nsdm", 2.41 + (bad ? STEP : 0), 2)
  end
  tile("difftap.10") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    sheet.tap("nsdm", bad ? 5 : 2, 2)
  end
end

def p_well_distances
  tile("difftap.9") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    n_diffusion(sheet, 3.34 - (bad ? STEP : 0), 0, 5, 2)
  end
  tile("difftap.9", "LU.2") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    n_diffusion(sheet, bad ? 1.8 : 3.8, 1.8, bad ? 2.6 : 4.6, 2.6)
  end
  tile("difftap.11") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    sheet.tap("psdm", 3.13 - (bad ? STEP : 0), 1)
  end
  tile("difftap.11") do |sheet, bad|
    sheet.well(0, 0, 3, 3)
    sheet.tap("psdm", bad ? 2 : 4, 2)
  end
end

# Diffusion with its implant, and a tap of the substrate near it.
def n_diffusion(sheet, x1, y1, x2, y2)
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", x1, y1, x2, y2)
  sheet.box("nsdm", x1 - 0.2, y1 - 0.2, x2 + 0.2, y2 + 0.2)
end

# A transistor: diffusion 1.2 x 0.65, gate 0.15 long in it; each rule spoils one measure.
def transistor(sheet, change = {})
  size = { :beyond => 0.25, :end => 0.13, :height => 0.65, :field => 0.075 }.merge(change)
  sheet.tap("psdm", -5, 0)
  sheet.box("diff", 0.3 - size[:beyond], 0, 1.5, size[:height])
  sheet.box("poly", 0.3, -0.5, 0.45, size[:height] + size[:end])
  sheet.box("nsdm", -0.3, -0.3, 1.8, size[:height] + 0.3)
  sheet.box("poly", 0.8, size[:height] + size[:field], 1.4, size[:height] + 1)
end

def poly_tiles
  tile("poly.1a") { |sheet, bad| sheet.box("poly", 0, 0, 0.15 - (bad ? STEP : 0), 2) }
  tile("poly.2") do |sheet, bad|
    sheet.box("poly", 0, 0, 0.5, 2)
    sheet.box("poly", 0.71 - (bad ? STEP : 0), 0, 1.5, 2)
  end
  tile("poly.4") { |sheet, bad| transistor(sheet, bad ? { :field => 0.07 } : {}) }
  tile("poly.5") do |sheet, bad|
    sheet.tap("psdm", 0, 0)
    sheet.box("poly", 0, 0.465 - (bad ? STEP : 0), 1, 1)
  end
  tile("poly.6") do |sheet, bad|
    sheet.box("diff", 0, 0, 1, 0.65)
    sheet.box("tap", 1, 0, 1.41, 0.65)
    sheet.square("licon", 1.205, 0.3, 0.17)
    sheet.square("li1", 1.205, 0.3, 0.41)
    sheet.box("nsdm", -0.3, -0.3, 1, 0.95)
    sheet.box("psdm", 1, -0.3, 1.7, 0.95)
    sheet.box("poly", 0.55 + (bad ? STEP : 0), -0.2, 0.7 + (bad ? STEP : 0), 0.85)
  end
  tile("poly.7") { |sheet, bad| transistor(sheet, bad ? { :beyond => 0.245 } : {}) }
  tile("poly.8") { |sheet, bad| transistor(sheet, bad ? { :end => 0.125 } : {}) }
  tile("poly.12", "poly.5") do |sheet, bad|
    sheet.tap("psdm", 0, 0)
    sheet.box("poly", 0.1, bad ? 0.36 : 0.47, 0.3, 1)
  end
  tile("difftap.2") { |sheet, bad| transistor(sheet, :height => bad ? 0.415 : 0.42) }
  # In standard cells transistors may be narrower.
  tile("difftap.2b") do |sheet, bad|
    transistor(sheet, :height => bad ? 0.355 : 0.36)
    sheet.box("standard_cell_id", -1, -1, 3, 3)
  end
end

# A contact in `layer`, 0.17 square at the origin, with li1 around it; enclosures left, below, right, above.
def contact(sheet, layer, left, below, right, above)
  sheet.box("licon", 0, 0, 0.17, 0.17)
  sheet.box("li1", -0.08, -0.08, 0.25, 0.25)
  sheet.box(layer, -left, -below, 0.17 + right, 0.17 + above)
  case layer
  when "diff"
    sheet.tap("psdm", -5, 0)
    sheet.box("nsdm", -0.4, -0.4, 0.57, 0.57)
  when "tap" then sheet.box("psdm", -0.4, -0.4, 0.57, 0.57)
  end
end

def contact_tiles
  transistor_contacts
  tile("licon.2") do |sheet, bad|
    transistor(sheet)
    sheet.box("licon", 0.7, 0.2, 0.87, 0.37)
    sheet.box("licon", 1.04 - (bad ? STEP : 0), 0.2, 1.21 - (bad ? STEP : 0), 0.37)
    sheet.box("li1", 0.62, 0.1, 1.3, 0.67)
  end
  tile("licon.4") do |sheet, bad|
    bad ? contact(sheet, "nsdm", 0.2, 0.2, 0.2, 0.2) : contact(sheet, "diff", 0.2, 0.2, 0.2, 0.2)
  end
  tile("licon.4", "li.5") do |sheet, bad|
    transistor(sheet)
    sheet.box("licon", 0.7, 0.2, 0.87, 0.37)
    sheet.box("li1", bad ? 0.705 : 0.62, 0.1, 1.3, 0.67)
  end
  tile("licon.5a") { |sheet, bad| contact(sheet, "diff", bad ? 0.035 : 0.04, 0.06, 0.06, 0.06) }
  tile("licon.5c") { |sheet, bad| contact(sheet, "diff", 0.04, bad ? 0.055 : 0.06, 0.055, 0.06) }
  tile("licon.7") { |sheet, bad| contact(sheet, "tap", 0.115, bad ? 0.115 : 0.12, 0.115, 0.12) }
  poly_contacts
  tile("li.5") do |sheet, bad|
    transistor(sheet)
    sheet.box("licon", 0.7, 0.2, 0.87, 0.37)
    sheet.box("li1", 0.7 - 0.075, 0.2 - (bad ? 0.075 : 0.08), 1.2, 0.7)
  end
end

# Contacts of a drain: their size, and their distance from the gate, which is less in standard cells.
def transistor_contacts
  [["licon.1", 0.7, 0.005, false], ["licon.11", 0.505, 0, false], ["licon.11a", 0.5, 0, true]].each do |rule, x, surplus, in_cell|
    tile(rule) do |sheet, bad|
      transistor(sheet)
      sheet.box("standard_cell_id", -1, -1, 3, 3) if in_cell
      x1 = bad && surplus.zero? ? x - STEP : x
      sheet.box("licon", x1, 0.2, x1 + 0.17, 0.37 + (bad ? surplus : 0))
      sheet.box("li1", x1 - 0.08, 0.1, x1 + 0.25, 0.67)
    end
  end
end

def poly_contacts
  npc = lambda { |sheet, left| sheet.box("npc", -left, -0.3, 0.5, 0.5) }
  tile("licon.8") do |sheet, bad|
    contact(sheet, "poly", bad ? 0.045 : 0.05, 0.08, 0.05, 0.08)
    npc.call(sheet, 0.3)
  end
  tile("licon.8a") do |sheet, bad|
    contact(sheet, "poly", 0.075, bad ? 0.075 : 0.08, 0.075, 0.08)
    npc.call(sheet, 0.3)
  end
  tile("licon.14") do |sheet, bad|
    contact(sheet, "poly", 0.08, 0.08, 0.08, 0.08)
    npc.call(sheet, 0.3)
    n_diffusion(sheet, 0.36 - (bad ? STEP : 0), 0, 1, 1)
  end
  tile("licon.15") do |sheet, bad|
    contact(sheet, "poly", 0.08, 0.08, 0.08, 0.08)
    npc.call(sheet, bad ? 0.095 : 0.1)
  end
  tile("licon.15") do |sheet, bad|
    contact(sheet, "poly", 0.08, 0.08, 0.08, 0.08)
    npc.call(sheet, 0.3) unless bad
  end
end

# Latch-up: a tap within 15 um, on a way that stays in the well.
def latch_up_tiles
  tile("LU.2") do |sheet, bad|
    sheet.tap("psdm", 0, 0)
    sheet.box("diff", 14, 0, bad ? 15.5 : 15.3, 0.41)
    sheet.box("nsdm", 13.7, -0.3, 16, 0.71)
  end
  tile("LU.3") do |sheet, bad|
    sheet.well(0, -2, 20, 3)
    sheet.box("diff", 14, -1.5, bad ? 16 : 15.5, -1.09)
    sheet.box("psdm", 13.7, -1.8, 17, -0.79)
  end
end
