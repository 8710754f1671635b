# Small layouts for the tests of the rule deck: a sheet of tiles that each break one rule, and its twin, where each tile just
# keeps it; `cases.txt` says for each tile "sheet rule x1 y1 x2 y2 [rules that may fire too]".
#
#   klayout -b -r cases.rb -rd out=FOLDER
#
# Writes shapes_faulty.gds and shapes_fixed.gds, rows_faulty.gds and rows_fixed.gds, and pdk/ with a small library for the rows.

# %include sheet.rb
# %include metal.rb
# %include frontend.rb
# %include antenna.rb
# %include rows.rb

@cases = []
@faulty, @fixed = Sheet::new("shapes_faulty"), Sheet::new("shapes_fixed")
metal_tiles
cut_tiles
shape_tiles
well_tiles
diffusion_tiles
poly_tiles
contact_tiles
latch_up_tiles
antenna_tiles
[@faulty, @fixed].each { |sheet| sheet.write($out) }

row_tiles
File.write(File.join($out, "cases.txt"), @cases.join("\n") + "\n")
