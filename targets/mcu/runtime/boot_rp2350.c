/* What the RP2350's boot ROM looks for in the first 4 KiB of flash (RP2350 datasheet, 5.9.5.1,
   "Minimum Arm IMAGE_DEF"): a secure Arm program whose vector table is at the start of flash. */

#include <stdint.h>

__attribute__((section(".image_definition"), used)) const uint32_t image_definition[] = {
    0xFFFFDED3u, /* start of a block */
    0x10210142u, /* image type: executable, secure, Arm, RP2350 */
    0x000001FFu, /* last item, of one word */
    0x00000000u, /* no other block */
    0xAB123579u, /* end of the block */
};
