// A serial port: eight data bits, no parity, one stop bit. One bit lasts 16 * (divider + 1) clocks.
module uart (
    input  wire       clk,
    input  wire       reset,     // synchronous
    input  wire [7:0] divider,
    input  wire [7:0] tx_data,
    input  wire       tx_valid,
    output wire       tx_ready,
    output reg        txd,
    input  wire       rxd,
    output reg  [7:0] rx_data,
    output reg        rx_valid,  // high for one clock
    output reg        rx_error   // the stop bit was low
);
    // Sixteen ticks make a bit.
    reg [7:0] count;
    wire tick = count == 8'd0;
    always @(posedge clk)
        if (reset | tick) count <= divider;
        else count <= count - 8'd1;

    // Sender: start bit, eight data bits with the lowest first, stop bit.
    reg [8:0] tx_shift;
    reg [3:0] tx_phase, tx_left;
    assign tx_ready = tx_left == 4'd0;
    always @(posedge clk)
        if (reset) begin
            tx_left <= 4'd0;
            txd <= 1'b1;
        end else if (tx_ready) begin
            if (tx_valid) begin
                tx_shift <= {tx_data, 1'b0};
                tx_left <= 4'd10;
                tx_phase <= 4'd0;
            end
        end else if (tick) begin
            tx_phase <= tx_phase + 4'd1;
            if (tx_phase == 4'd0) txd <= tx_shift[0];
            if (tx_phase == 4'd15) begin
                tx_shift <= {1'b1, tx_shift[8:1]};
                tx_left <= tx_left - 4'd1;
            end
        end

    // Receiver: waits for a falling edge, then samples in the middle of each bit.
    reg [2:0] line;
    reg [3:0] rx_phase, rx_left;
    wire low = ~(line[2] & line[1] | line[1] & line[0] | line[2] & line[0]);
    always @(posedge clk) begin
        rx_valid <= 1'b0;
        if (reset) begin
            line <= 3'b111;
            rx_left <= 4'd0;
            rx_error <= 1'b0;
        end else if (tick) begin
            line <= {line[1:0], rxd};
            if (rx_left == 4'd0) begin
                rx_phase <= 4'd0;
                if (low) rx_left <= 4'd10;
            end else begin
                rx_phase <= rx_phase + 4'd1;
                if (rx_phase == 4'd7) begin
                    rx_left <= rx_left - 4'd1;
                    // A start bit that is gone in its middle was none.
                    if (rx_left == 4'd10 & ~low) rx_left <= 4'd0;
                    else if (rx_left == 4'd1) begin
                        rx_valid <= ~low;
                        rx_error <= low;
                    end else rx_data <= {~low, rx_data[7:1]};
                end
            end
        end
    end
endmodule
