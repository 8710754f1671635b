// Sends every byte around a loop of wire and expects it back; then a line that stays low gives an error.
`timescale 1ns/1ps
module uart_tb;
    reg clk = 0, reset = 1, valid = 0, cut = 0;
    reg [7:0] data = 0;
    wire ready, line, got, error;
    wire [7:0] back;
    integer byte_number, waited, faults = 0;
    always #5 clk = ~clk;
    uart dut (
        .clk(clk), .reset(reset), .divider(8'd2), .tx_data(data), .tx_valid(valid), .tx_ready(ready),
        .txd(line), .rxd(line & ~cut), .rx_data(back), .rx_valid(got), .rx_error(error)
    );
    task clocks(input integer count);
        repeat (count) @(negedge clk);
    endtask
    initial begin
        clocks(4);
        reset = 0;
        for (byte_number = 0; byte_number < 256; byte_number = byte_number + 1) begin
            data = byte_number;
            valid = 1;
            clocks(1);
            valid = 0;
            waited = 0;
            while (!got && waited < 2000) begin
                clocks(1);
                waited = waited + 1;
            end
            if (!got || back !== data || error) begin
                faults = faults + 1;
                $display("sent %h, received %h (valid %b, error %b)", data, back, got, error);
            end
            while (!ready) clocks(1);
        end
        cut = 1;
        clocks(1000);
        if (!error) begin
            faults = faults + 1;
            $display("a line that stays low gave no error");
        end
        if (faults == 0) $display("passed");
        $finish;
    end
endmodule
