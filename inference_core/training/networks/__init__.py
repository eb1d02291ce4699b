"""Networks that only training needs: discriminators and projection heads, one file each."""
